#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/glu_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/s4_block.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Ssm = S4d<double, Dynamic, Dynamic>;

/// y = a * sigmoid(b) of the two halves of x's features.
Sequence<double> gated(const Sequence<double>& x) {
  const Index features = x.extent(2) / 2;
  Sequence<double> y(x.extent(0), x.extent(1), features);
  for (Index t = 0; t < x.extent(1); ++t) {
    for (Index i = 0; i < features; ++i) y(0, t, i) = x(0, t, i) / (1 + std::exp(-x(0, t, features + i)));
  }
  return y;
}

Sequence<double> sum(Sequence<double> x, const Sequence<double>& y) {
  for (Index i = 0; i < x.size(); ++i) x[i] += y[i];
  return x;
}

}  // namespace

TEST_CASE("an S4 block normalises, scans, mixes and adds", "[s4_block]") {
  auto block = s4_block(Ssm(3, 4));
  initialize(block, 1);
  const auto& layers = block.inner.layers;
  const auto x = random_sequence<double>(1, 40, 3, 2);
  const auto mixed = scanned(
      std::get<3>(layers), scanned(std::get<2>(layers), scanned(std::get<1>(layers), scanned(std::get<0>(layers), x))));
  CHECK(distance(scanned(block, x), sum(gated(mixed), x)) < 1e-13);
}

TEST_CASE("a post-norm S4 block normalises what it adds", "[s4_block]") {
  auto block = post_norm_s4_block<RmsNorm<double, Dynamic>>(Ssm(3, 4));
  initialize(block, 1);
  const auto& layers = block.get<0>().inner.layers;
  const auto x = random_sequence<double>(1, 40, 3, 2);
  const auto mixed = scanned(std::get<2>(layers), scanned(std::get<1>(layers), scanned(std::get<0>(layers), x)));
  CHECK(distance(scanned(block, x), scanned(block.get<1>(), sum(gated(mixed), x))) < 1e-13);
}

TEST_CASE("an S4 block in both directions reads the sequence from either end", "[s4_block]") {
  auto block = s4_block(Bidirectional(Ssm(2, 4), Ssm(2, 4)));
  STATIC_REQUIRE((std::same_as<decltype(block), BidirectionalS4Block<Ssm>> && !decltype(block)::causal));
  initialize(block, 1);
  CHECK(block.input_size() == 2);
  CHECK(block.output_size() == 2);
  CHECK(gradient_error(block, 2, 6, {6, 3}) < 1e-6);
}
