#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/residual.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

using Dense = Linear<float, 8, 8>;
using Recurrence = Gru<float, 8, 8>;
template <Index Width>
using Window = CausalConv1d<float, 8, Width>;

/// What is put around a layer that lags three tokens.
template <class L>
struct Lagging : L {
  static constexpr Index latency = 3;
};

}  // namespace

TEST_CASE("a layer's type says whether it is time-invariant, and how far it looks", "[properties]") {
  STATIC_REQUIRE((TimeInvariant<Dense> && Dense::receptive_field == 1 && Dense::latency == 0));
  STATIC_REQUIRE(
      (TimeInvariant<RmsNorm<float, 8>> && TimeInvariant<Silu<float, 8>> && TimeInvariant<SwiGlu<float, 8, 16>>));
  STATIC_REQUIRE((TimeInvariant<Window<4>> && Window<4>::receptive_field == 4));
  STATIC_REQUIRE((TimeInvariant<Conv1d<float, 8, 8, 3>> && Conv1d<float, 8, 8, 3>::receptive_field == Dynamic));
  STATIC_REQUIRE((!TimeInvariant<Recurrence> && Recurrence::receptive_field == unbounded));
  STATIC_REQUIRE((has_form<Dense, Convolution> && !has_form<Recurrence, Convolution>));
}

TEST_CASE("a plan has the properties of its layer", "[properties]") {
  using Plan = decltype(prepare(Sequential<Dense, Window<4>>()));
  STATIC_REQUIRE((TimeInvariant<Plan> && Plan::receptive_field == 4));
}

TEST_CASE("combinators compose time-invariance, latency and receptive field", "[properties]") {
  using Stack = Sequential<Dense, Window<4>, RmsNorm<float, 8>, Window<3>>;
  STATIC_REQUIRE((TimeInvariant<Stack> && Stack::causal && Stack::receptive_field == 6 && Stack::latency == 0));
  using Around = Residual<Window<4>, Window<4>>;
  STATIC_REQUIRE((TimeInvariant<Around> && Around::receptive_field == 7));
  using Both = Bidirectional<Window<4>, Window<2>>;
  STATIC_REQUIRE((TimeInvariant<Both> && !Both::causal && Both::receptive_field == 5));
  using Between = Projected<Window<5>, Dense, Dense>;
  STATIC_REQUIRE((TimeInvariant<Between> && Between::receptive_field == 5));
  using Mixed = Sequential<Window<4>, Recurrence>;
  STATIC_REQUIRE((!TimeInvariant<Mixed> && Mixed::receptive_field == unbounded));
  STATIC_REQUIRE(Sequential<Conv1d<float, 8, 8, 3>, Dense>::receptive_field == Dynamic);
  STATIC_REQUIRE(Sequential<Lagging<Dense>, Dense, Lagging<Dense>>::latency == 6);
  STATIC_REQUIRE(Bidirectional<Lagging<Dense>, Dense>::latency == 3);
}
