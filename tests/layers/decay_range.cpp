#include <cmath>
#include <stepscan/core/denormals.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/retention.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>
#include <stepscan/layers/selective_scan.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

/// Decays of every strength in float: long sequences stay finite in every form, and states that fade away fade to zero.
using namespace stepscan;
using namespace stepscan::testing;

namespace {

constexpr Index tokens = 100000;

/// Between 1 and 100, as often in every range of one magnitude, over the sequence and its gates.
float strength(Index t, Index gate) {
  const double phase = std::fmod(static_cast<double>(t) * 0.381966 + static_cast<double>(gate) * 0.237, 1.0);
  return static_cast<float>(std::pow(10.0, 8 * phase - 6));
}

/// Random inputs; the last `gates` features are set by gate(t, i).
template <class F>
Sequence<float> inputs(Index features, Index gates, F&& gate) {
  auto x = random_sequence<float>(1, tokens, features, 1);
  for (Index t = 0; t < tokens; ++t) {
    for (Index i = 0; i < gates; ++i) x(0, t, features - gates + i) = gate(t, i);
  }
  return x;
}

/// Largest difference of the forms from Recurrent, relative to the largest output; infinite where one is not finite.
template <class L>
double difference_of_forms(const L& layer, const Sequence<float>& x) {
  const Sequence<float> expected = scanned(layer, x, Recurrent{});
  double most = 1e-6;
  for (const float value : expected) most = std::max(most, static_cast<double>(std::abs(value)));
  return std::max({distance(expected, expected), distance(scanned(layer, x, Chunked<32>{}), expected),
                   distance(scanned(layer, x, Parallel<>{}), expected)}) /
         most;
}

float minus_strength(Index t, Index i) { return -strength(t, i); }

using Scalar2 = ScalarGatedAttentionScan<float, 1, 4, 3>;

}  // namespace

TEST_CASE("decays from exp(-100) to 1 over 100,000 tokens: attentions are finite and agree in all forms", "[range]") {
  CHECK(difference_of_forms(Scalar2(), inputs(12, 1, minus_strength)) < 1e-4);
  CHECK(difference_of_forms(GatedLinearAttentionScan<float, 1, 4, 3>(), inputs(15, 4, minus_strength)) < 1e-4);
  for (const double decay : {-100.0, -1.0, -1e-3, -1e-5}) {
    CAPTURE(decay);
    CHECK(difference_of_forms(RetentionScan<float, 1, 4, 3>(1, 4, 3, {decay}), inputs(11, 0, minus_strength)) < 1e-3);
  }
}

TEST_CASE("decays from exp(-100) to 1 over 100,000 tokens: mLSTM, input gates from exp(-50) to exp(50)", "[range]") {
  const auto gate = [](Index t, Index i) {
    return i == 0 ? static_cast<float>(50 * std::sin(0.01 * static_cast<double>(t)))
                  : (t % 3 == 0 ? 1 : -1) * strength(t, i);
  };
  CHECK(difference_of_forms(MlstmScan<float, 1, 4, 3>(), inputs(13, 2, gate)) < 1e-3);
}

TEST_CASE("decays from exp(-100) to 1 over 100,000 tokens: the delta rule", "[range]") {
  const auto gate = [](Index t, Index i) {
    return i == 0 ? static_cast<float>(0.5 + 0.49 * std::sin(0.1 * static_cast<double>(t))) : -strength(t, i);
  };
  CHECK(difference_of_forms(GatedDeltaRuleScan<float, 1, 4, 3>(), inputs(13, 2, gate)) < 1e-4);
}

TEST_CASE("decays from exp(-100) to 1 over 100,000 tokens: state spaces", "[range]") {
  Mamba2SsdScan<float, 1, 3, 4> ssd;
  ssd.options.softplus = false;
  auto x = random_sequence<float>(1, tokens, ssd.input_size(), 1);
  for (Index t = 0; t < tokens; ++t) x(0, t, 3) = strength(t, 0);
  CHECK(difference_of_forms(ssd, x) < 1e-4);

  const auto check_selective = [](auto layer) {
    initialize(layer, 2);
    auto u = random_sequence<float>(1, tokens, layer.input_size(), 1);
    for (Index t = 0; t < tokens; ++t) {
      for (Index d = 0; d < 3; ++d) u(0, t, 3 + d) = strength(t, d);
    }
    CHECK(difference_of_forms(layer, u) < 1e-4);
  };
  const SelectiveScanOptions options{.delta_softplus = false, .delta_bias = false};
  check_selective(SelectiveScan<float, 3, 4>(options));
  check_selective(ComplexSelectiveScan<float, 3, 4>(options));
}

TEST_CASE("a state that decays into subnormal numbers is zero under FlushDenormals, and right", "[range]") {
  set_max_threads(1);
  const auto layer = Scalar2();
  Sequence<float> loud = inputs(12, 1, [](Index, Index) { return -1.0F; });
  constexpr Index silent_from = 100, length = 400;
  for (Index t = silent_from; t < length; ++t) std::fill_n(&loud(0, t, 4), 7, 0.0F);  // no keys, no values
  const SequenceView<const float> x = SequenceView<const float>(std::as_const(loud)).slice(0, length);
  const auto run = [&](auto form) {
    Sequence<float> y(1, length, 3);
    auto state = layer.initial_state(1);
    layer.scan(state, x, y, form);
    return std::pair{y, state.matrix};
  };
  const auto check = [&](auto form) {
    const auto plain = run(form);
    const auto flushed = [&] {
      const FlushDenormals guard;
      return run(form);
    }();
    CHECK(distance(flushed.first, plain.first) < 1e-36);
    CHECK(std::all_of(flushed.second.begin(), flushed.second.end(), [](float s) { return s == 0; }));
  };
  check(Recurrent{});
  check(Chunked<16>{});
}
