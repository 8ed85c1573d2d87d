#include <cmath>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/decay_backward.hpp>
#include <stepscan/layers/decay_gate_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/parts_backward.hpp>
#include <stepscan/layers/projected_attention.hpp>
#include <stepscan/layers/projected_backward.hpp>
#include <stepscan/ops/delta_rule_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// The layer by hand: the inputs of its scan from the activation of each feature.
template <class L, class F>
Sequence<double> by_hand(const L& layer, const Sequence<double>& x, F&& activated) {
  Sequence<double> in = scanned(layer.in_proj, x);
  const Index features = in.extent(2);
  for (Index i = 0; i < in.size(); ++i) in[i] = activated(i % features, in[i]);
  return scanned(layer.out_proj, scanned(layer.scan_layer, in));
}

}  // namespace

TEST_CASE("attentions with projections are scans of activated projections", "[layers]") {
  const auto x = random_sequence<double>(2, 40, 5, 2);
  const auto silu_of = [](double a) { return a * sigmoid_of(a); };
  constexpr Index heads = 2, qkv = heads * (3 + 3 + 4);
  const auto check = [&](auto layer, const auto& activated) {
    randomize(layer, 1);
    const auto expected = by_hand(layer, x, activated);
    CHECK(distance(scanned(layer, x), expected) < 1e-12);
    CHECK(distance(scanned(prepare(layer), x, Recurrent{}), expected) < 1e-12);
  };
  const auto plain = [](Index, double a) { return a; };
  check(LinearAttention<double, 5, heads, 3, 4>(), plain);
  check(Mlstm<double, 5, heads, 3, 4>(), plain);
  check(LightningAttention<double, 5, heads, 3, 4>(), [&](Index, double a) { return silu_of(a); });
  check(ScalarGatedAttention<double, 5, heads, 3, 4>(),
        [&](Index i, double a) { return i < qkv ? a : std::log(sigmoid_of(a)) / 16; });
  check(DeltaNet<double, 5, heads, 3, 4>(), [&](Index i, double a) { return i < qkv ? silu_of(a) : sigmoid_of(a); });
  GatedDeltaNet<double, 5, heads, 3, 4> gated;
  randomize(gated, 1);
  const auto& decay = std::get<2>(std::get<0>(gated.gates).layers);
  check(gated, [&](Index i, double a) {
    if (i < qkv) return silu_of(a);
    if (i < qkv + heads) return sigmoid_of(a);
    const Index h = i - qkv - heads;
    return -std::exp(decay.A_log[h]) * std::log1p(std::exp(a + decay.dt_bias[h]));
  });
}

TEST_CASE("gates of a projected attention are named, and of any size", "[layers]") {
  GatedDeltaNet<double, Dynamic, Dynamic, Dynamic, Dynamic> layer(
      5, {2, 3, 4}, 5, Parts(Silu<double, Dynamic>(20), Sigmoid<double, Dynamic>(2), LearnedDecay<double, Dynamic>(2)));
  std::vector<std::string> names;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, layer);
  CHECK(names == std::vector<std::string>{"in_proj.weight", "gates.2.A_log", "gates.2.dt_bias", "out_proj.weight"});
  randomize(layer, 1);
  GatedDeltaNet<double, 5, 2, 3, 4> fixed;
  copy_parameters(layer, fixed);
  const auto x = random_sequence<double>(1, 9, 5, 2);
  CHECK(distance(scanned(layer, x), scanned(fixed, x)) < 1e-12);
  initialize(layer, 1);
  const auto& decay = std::get<2>(std::get<0>(layer.gates).layers);
  CHECK((std::isfinite(decay.A_log[0]) && decay.A_log[1] <= std::log(16.0)));

  Mlstm<double, 5, 3, 2, 4> mlstm;
  initialize(mlstm, 1);
  const Index forget = mlstm.in_proj.output_size() - 3;
  CHECK(mlstm.in_proj.bias[forget] == 3.0);
  CHECK(mlstm.in_proj.bias[forget + 1] == 4.5);
  CHECK(mlstm.in_proj.bias[forget + 2] == 6.0);
  CHECK(mlstm.in_proj.weight(forget - 3, 0) == 0.0);
  CHECK(mlstm.in_proj.weight(forget - 4, 0) != 0.0);
  CHECK(mlstm.in_proj.bias[forget - 3] != 0.0);
}

TEST_CASE("projections start as large as the authors' code makes them", "[layers]") {
  constexpr Index model = 40, heads = 4, key = 6, value = 10;
  struct Block {
    double largest = 0, deviation = 0;
  };
  const auto block = [](const auto& projection, Index first, Index rows) {
    Block found;
    for (Index i = first; i < first + rows; ++i) {
      for (Index j = 0; j < projection.input_size(); ++j) {
        const double value_there = std::abs(projection.weight(i, j));
        found.largest = std::max(found.largest, value_there);
        found.deviation += value_there * value_there;
      }
    }
    found.deviation = std::sqrt(found.deviation / static_cast<double>(rows * projection.input_size()));
    return found;
  };
  const auto check_xavier = [&](const Block& found, Index rows, double gain) {
    const double bound = gain * std::sqrt(6.0 / static_cast<double>(rows + model));
    CHECK(found.largest <= bound);
    CHECK(found.largest > 0.9 * bound);
  };
  const auto check_rows = [&](auto layer, Index gates, double gain_behind) {
    initialize(layer, 1);
    Index first = 0;
    for (const Index rows : {heads * key, heads * key, heads * value}) {
      check_xavier(block(layer.in_proj, first, rows), rows, std::exp2(-2.5));
      first += rows;
    }
    for (Index gate = 0; gate < gates; ++gate, first += heads) {
      check_xavier(block(layer.in_proj, first, heads), heads, std::exp2(-2.5));
    }
    REQUIRE(first == layer.in_proj.output_size());
    check_xavier(block(layer.out_proj, 0, model), heads * value, gain_behind);
  };
  check_rows(Retention<double, model, heads, key, value>(), 0, 1.0);
  check_rows(ScalarGatedAttention<double, model, heads, key, value>(), 1, std::exp2(-2.5));
  check_rows(DeltaNet<double, model, heads, key, value>(), 1, std::exp2(-2.5));
  check_rows(GatedDeltaNet<double, model, heads, key, value>(), 2, std::exp2(-2.5));

  LightningAttention<double, model, heads, key, value> lightning;
  initialize(lightning, 1);
  CHECK(block(lightning.in_proj, 0, heads * (2 * key + value)).deviation == Approx(0.02).epsilon(0.05));
  CHECK(block(lightning.out_proj, 0, model).deviation == Approx(0.02).epsilon(0.05));
  Mlstm<double, model, heads, key, value> mlstm;
  initialize(mlstm, 1);
  CHECK(block(mlstm.in_proj, 0, heads * (2 * key + value)).deviation ==
        Approx(std::sqrt(2.0 / (5 * model))).epsilon(0.05));
  CHECK(mlstm.in_proj.bias[0] == 0);
}

TEST_CASE("gradients of projected attentions equal finite differences", "[layers]") {
  ScalarGatedAttention<double, 3, 2, 2, 3> scalar;
  randomize(scalar, 1);
  CHECK(gradient_error(scalar, 2, 5) < 1e-7);
  GatedDeltaNet<double, 3, 1, 2, 3> delta;
  randomize(delta, 1);
  CHECK(gradient_error(delta, 3, 5, {5, 0, 2}) < 1e-7);
}

TEST_CASE("gates that do not fit the scan are refused, and both layers named", "[layers]") {
  using Net = DeltaNet<double, Dynamic, Dynamic, Dynamic, Dynamic>;
  CHECK_THROWS_WITH(Net(5, {2, 3, 4}, 5, Parts(Silu<double, Dynamic>(20), Sigmoid<double, Dynamic>(3))),
                    "Projected: in_proj, Linear [5 -> 22], has 22 outputs, but gates, Parts [23 -> 23], expects 23 "
                    "inputs");
}
