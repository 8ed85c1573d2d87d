#include <models/leaky.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/models/branches.hpp>
#include <stepscan/models/repeat.hpp>
#include <stepscan/models/residual.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::copy_parameters;
using testing::distance;
using testing::Leaky;
using testing::random_sequence;
using testing::randomize;
using testing::scanned;
using testing::Sequence;

namespace {

using Wide = Linear<double, 3, 3>;
using Block = Residual<Leaky<double, 3>, Wide>;

template <class L>
std::vector<std::string> names(const L& layer) {
  std::vector<std::string> list;
  for_each_parameter([&](const Path& path, const auto&) { list.push_back(path.str()); }, layer);
  return list;
}

/// The outputs of branch number I.
template <std::size_t I, class L>
Sequence<double> branch(const L& layer, const Sequence<double>& x) {
  return scanned(std::get<I>(layer.layers), x);
}

}  // namespace

TEST_CASE("a Repeat is a Sequential of so many blocks", "[models]") {
  Sequential<Block, Block, Block> sequential;
  Repeat<3, Block> repeat;
  randomize(sequential, 1, 0, 1);
  copy_parameters(sequential, repeat);
  CHECK(names(repeat) == names(sequential));
  const auto x = random_sequence<double>(2, 300, 3, 2);
  CHECK(distance(scanned(repeat, x), scanned(sequential, x)) == 0);
  CHECK(distance(scanned(prepare(repeat), x), scanned(sequential, x)) < 1e-13);
  CHECK(testing::scan_memory(repeat, 1, 600) == testing::scan_memory(repeat, 1, 1200));
  STATIC_REQUIRE(Repeat<3, Wide>::receptive_field == 1);
  STATIC_REQUIRE(std::is_same_v<Repeat<3, Block>::Forms, Sequential<Block>::Forms>);
  CHECK_THROWS_AS((Repeat<2, Linear<double, Dynamic, Dynamic>>(Linear<double, Dynamic, Dynamic>(3, 4))), ShapeError);
}

TEST_CASE("Branches sum, concatenate or average what their layers give", "[models]") {
  const auto x = random_sequence<double>(2, 300, 3, 2);
  Branches<Join::sum, Leaky<double, 3>, Wide> sum;
  Branches<Join::concat, Leaky<double, 3>, Wide> concat;
  Branches<Join::gated_average, Leaky<double, 3>, Wide> average;
  randomize(average, 1, 0, 1);
  sum.layers = concat.layers = average.layers;
  const auto first = branch<0>(sum, x), second = branch<1>(sum, x), gate = scanned(average.gate, x);
  const auto summed = scanned(sum, x), joined = scanned(concat, x), averaged = scanned(average, x);
  double error = 0;
  for (Index b = 0; b < 2; ++b) {
    for (Index t = 0; t < 300; ++t) {
      const double weight = 1 / (1 + std::exp(gate(b, t, 1) - gate(b, t, 0)));
      for (Index f = 0; f < 3; ++f) {
        const double one = first(b, t, f), other = second(b, t, f);
        error = std::max({error, std::abs(summed(b, t, f) - one - other), std::abs(joined(b, t, f) - one),
                          std::abs(joined(b, t, 3 + f) - other),
                          std::abs(averaged(b, t, f) - weight * one - (1 - weight) * other)});
      }
    }
  }
  CHECK(error < 1e-13);
  CHECK(names(average) == std::vector<std::string>{"0.decay", "1.weight", "1.bias", "gate.weight", "gate.bias"});
}

TEST_CASE("Branches of Dynamic sizes are checked, their static properties those of all", "[models]") {
  using Free = Linear<double, Dynamic, Dynamic>;
  CHECK_NOTHROW(Branches<Join::concat, Free, Free>(Free(3, 4), Free(3, 5)));
  CHECK_THROWS_AS((Branches<Join::concat, Free, Free>(Free(3, 4), Free(2, 4))), ShapeError);
  CHECK_THROWS_AS((Branches<Join::sum, Free, Free>(Free(3, 4), Free(3, 5))), ShapeError);
  CHECK((Branches<Join::gated_average, Free, Free>(Free(3, 4), Free(3, 4)).gate.weight.shape()[0] == 2));
  using Mixed = Branches<Join::sum, Leaky<double, 3>, Wide>;
  STATIC_REQUIRE((Mixed::receptive_field == unbounded && !Mixed::any_form && !Mixed::time_invariant));
  STATIC_REQUIRE((has_form<Mixed, Chunked<>> && !has_form<Mixed, Parallel<>>));
  STATIC_REQUIRE(TimeInvariant<Branches<Join::sum, Wide, Wide>>);
  STATIC_REQUIRE_FALSE(TimeInvariant<Branches<Join::gated_average, Wide, Wide>>);
}

TEST_CASE("PreNorm normalises what goes in, PostNorm what comes out", "[models]") {
  using NormLayer = LayerNorm<double, 3>;
  PreNorm<NormLayer, Wide> pre;
  PostNorm<NormLayer, Wide> post;
  randomize(pre, 1);
  const NormLayer& norm = pre.inner.get<0>();
  const Wide& wide = pre.inner.get<1>();
  post.get<0>().inner.get<0>() = wide;
  post.get<1>() = norm;
  const auto x = random_sequence<double>(2, 4, 3, 2);
  auto expected_pre = scanned(wide, scanned(norm, x)), inside = scanned(wide, x);
  for (Index i = 0; i < x.size(); ++i) {
    expected_pre[i] += x[i];
    inside[i] += x[i];
  }
  CHECK(distance(scanned(pre, x), expected_pre) < 1e-14);
  CHECK(distance(scanned(post, x), scanned(norm, inside)) < 1e-14);
}
