#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

TEST_CASE("a LayerNorm takes the mean away and divides by the deviation", "[layers]") {
  LayerNorm<double, 4> layer;
  initialize(layer, 1);
  layer.bias[3] = 10;
  layer.weight[1] = -2;
  Sequence<double> x(1, 1, 4);
  x(0, 0, 0) = 1, x(0, 0, 1) = 2, x(0, 0, 2) = 3, x(0, 0, 3) = 6;
  const double root = std::sqrt(14.0 / 4 + 1e-5);
  const auto y = scanned(layer, x);
  CHECK(y(0, 0, 0) == Approx(-2 / root).epsilon(1e-14));
  CHECK(y(0, 0, 1) == Approx(2 / root).epsilon(1e-14));
  CHECK(y(0, 0, 2) == 0);
  CHECK(y(0, 0, 3) == Approx(10 + 3 / root).epsilon(1e-14));
  CHECK(distance(scanned(prepare(layer), x), y) == 0);
}

TEST_CASE("gradients of a LayerNorm equal finite differences", "[layers]") {
  LayerNorm<double, 6> layer;
  randomize(layer, 1);
  CHECK(gradient_error(layer, 2, 3) < 1e-7);
  CHECK(gradient_error(layer, 3, 4, {4, 0, 2}) < 1e-7);
  LayerNorm<double, Dynamic, false> plain(5);
  randomize(plain, 1);
  CHECK(gradient_error(plain, 2, 3) < 1e-7);
}
