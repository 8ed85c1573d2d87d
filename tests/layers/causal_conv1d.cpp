#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// The equation, number by number, after `window` (oldest first).
template <class L>
Sequence<double> reference(const L& layer, const Tensor<double, Dynamic, Dynamic, Dynamic>& window,
                           const Sequence<double>& x) {
  const Index before = layer.width() - 1;
  Sequence<double> y(x.shape());
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = 0; t < x.extent(1); ++t) {
      for (Index d = 0; d < x.extent(2); ++d) {
        double sum = layer.bias[d];
        for (Index k = 0; k <= before; ++k) {
          const Index at = t - before + k;
          sum += layer.weight(d, k) * (at < 0 ? window(b, before + at, d) : x(b, at, d));
        }
        y(b, t, d) = sum / (1 + std::exp(-sum));
      }
    }
  }
  return y;
}

using Conv = CausalConv1d<double, Dynamic, Dynamic>;

Conv make(Index features, Index width) {
  Conv layer(features, width);
  randomize(layer, 1);
  return layer;
}

}  // namespace

TEST_CASE("causal_conv1d computes its equation", "[causal_conv1d]") {
  for (const Index width : {1, 2, 4, 7}) {
    for (const Index time : {1, 2, 9, 200}) {
      const Conv layer = make(19, width);
      const auto x = random_sequence<double>(2, time, 19, 3);
      auto state = layer.initial_state(2);
      randomize(state, 5);
      const auto expected = reference(layer, state.conv, x);
      CAPTURE(width, time);
      for (const bool planned : {false, true}) {
        auto end = state;
        Sequence<double> y(x.shape());
        planned ? prepare(layer).scan<Parallel<>>(end, x, y) : layer.scan<Parallel<>>(end, x, y);
        CHECK(distance(y, expected) < 1e-14);
        if (time >= width - 1) {
          for (Index j = 0; j + 1 < width; ++j) CHECK(end.conv(1, j, 18) == x(1, time - width + 1 + j, 18));
        }
      }
    }
  }
}

TEST_CASE("causal_conv1d: a sequence shorter than the window leaves older inputs in it", "[causal_conv1d]") {
  const Conv layer = make(3, 5);
  const auto x = random_sequence<double>(1, 2, 3, 3);
  auto state = layer.initial_state(1);
  for (Index i = 0; i < state.conv.size(); ++i) state.conv[i] = 100 + static_cast<double>(i);
  Sequence<double> y(1, 2, 3);
  layer.scan(state, x, y);
  CHECK(state.conv(0, 0, 0) == 106);
  CHECK(state.conv(0, 1, 2) == 111);
  CHECK(state.conv(0, 2, 1) == x(0, 0, 1));
  CHECK(state.conv(0, 3, 1) == x(0, 1, 1));
}

TEST_CASE("causal_conv1d: gradients are finite differences", "[causal_conv1d]") {
  CHECK(gradient_error(make(5, 4), 2, 9) < 1e-8);
  CHECK(gradient_error(make(5, 4), 3, 6, {6, 2, 0}) < 1e-8);
  CHECK(gradient_error(make(3, 6), 2, 3) < 1e-8);
  CHECK(gradient_error(make(67, 1), 1, 3) < 1e-8);
  CausalConv1d<double, 4, 3, false, IdentityActivation> plain;
  randomize(plain, 2);
  CHECK(gradient_error(plain, 2, 7) < 1e-8);
}

TEST_CASE("causal_conv1d refuses sizes that do not fit", "[causal_conv1d]") {
  CHECK_THROWS_WITH(Conv(3, 0), ContainsSubstring("expected a width of at least 1, found 0"));
  CHECK_THROWS_AS((CausalConv1d<double, 3, 4>(3, 5)), ShapeError);
  const Conv layer = make(3, 4);
  auto state = layer.initial_state(1);
  Sequence<double> y(1, 2, 3);
  CHECK_THROWS_AS(layer.scan(state, random_sequence<double>(1, 2, 4, 1), y), ShapeError);
}

TEST_CASE("causal_conv1d starts uniform in +-1 / sqrt(width)", "[causal_conv1d]") {
  CausalConv1d<float, 400, 4> layer;
  initialize(layer, 3);
  const auto [low, high] = std::minmax_element(layer.weight.begin(), layer.weight.end());
  CHECK(*low >= -0.5F);
  CHECK(*low < -0.49F);
  CHECK(*high < 0.5F);
  CHECK(*high > 0.49F);
}
