#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

TEST_CASE("an RmsNorm divides by the root of the mean square", "[layers]") {
  RmsNorm<double, 4> layer;
  initialize(layer, 1);
  layer.weight[1] = -2;
  Sequence<double> x(1, 1, 4);
  x(0, 0, 0) = 1, x(0, 0, 1) = 2, x(0, 0, 2) = -3, x(0, 0, 3) = 4;
  const double root = std::sqrt(30.0 / 4 + 1e-6);
  const auto y = scanned(layer, x);
  CHECK(y(0, 0, 0) == Approx(1 / root).epsilon(1e-14));
  CHECK(y(0, 0, 1) == Approx(-4 / root).epsilon(1e-14));
  CHECK(y(0, 0, 2) == Approx(-3 / root).epsilon(1e-14));
  CHECK(distance(scanned(prepare(layer), x), y) == 0);
}

TEST_CASE("an RmsNorm of zeros is zero", "[layers]") {
  RmsNorm<float, Dynamic> layer(5);
  initialize(layer, 1);
  for (const float y : scanned(layer, Sequence<float>(2, 3, 5))) CHECK(y == 0);
}

TEST_CASE("gradients of an RmsNorm equal finite differences", "[layers]") {
  RmsNorm<double, 6> layer;
  randomize(layer, 1);
  CHECK(gradient_error(layer, 2, 3) < 1e-7);
  CHECK(gradient_error(layer, 3, 4, {4, 0, 2}) < 1e-7);
  CHECK(gradient_error(layer, 0, 3) < 1e-7);
}
