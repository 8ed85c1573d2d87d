#include <stepscan/layers/lssl.hpp>
#include <stepscan/layers/s4_initialize.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "resampling.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Dynamic4 = S4<double, Dynamic, Dynamic>;

}  // namespace

TEST_CASE("a fresh s4 is the dense LegS system in other coordinates", "[s4]") {
  constexpr Index features = 2, states = 32;
  Dynamic4 layer(features, states);
  initialize(layer, 1);
  Lssl<double, Dynamic, Dynamic> dense(features, states);
  initialize(dense, 1);
  dense.log_dt = layer.log_dt;
  // A state z of the pairs is V^H h, so that 2 Re sum_i C_i z_i is a real row times h.
  const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, states, 1);
  for (Index f = 0; f < features; ++f) {
    dense.D(f, 0) = layer.D[f];
    for (Index n = 0; n < states; ++n) {
      dense.C(f, 0, n) = 0;
      for (Index i = 0; i < states / 2; ++i) {
        dense.C(f, 0, n) += 2 * (detail::complex_at(layer.C, f, i) * std::conj(form.V(n, states / 2 + i))).real();
      }
    }
  }
  const auto x = random_sequence<double>(1, 300, features, 3);
  const auto expected = scanned(dense, x, Recurrent{});
  CHECK(distance(scanned(layer, x, Recurrent{}), expected) < 1e-9);
  CHECK(distance(scanned(layer, x, Chunked<>{}), expected) < 1e-9);
}

TEST_CASE("an s4 reads an input of twice the rate by a plan of half the step", "[s4]") {
  Dynamic4 layer(2, 8);
  initialize(layer, 2);
  for (double& value : layer.log_dt) value = std::log(0.01);
  CHECK(resampling_error(layer) < 0.02);
}
