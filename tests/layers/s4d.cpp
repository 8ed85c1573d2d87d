#include <stepscan/layers/dss.hpp>
#include <stepscan/layers/s4.hpp>
#include <stepscan/layers/s4d.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

/// Every form of a plan against its recurrence, at lengths around powers of two and chunks.
template <class L>
void check_lengths(L layer) {
  initialize(layer, 1);
  const auto plan = prepare(layer);
  for (const Index time : {1, 2, 3, 63, 64, 65, 100, 1000, 4095, 4096, 4097}) {
    const auto x = random_sequence<double>(1, time, layer.input_size(), 3);
    const auto expected = scanned(plan, x, Recurrent{});
    CAPTURE(L::name, time);
    CHECK(distance(scanned(plan, x, Convolution{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Chunked<>{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Parallel<24>{}), expected) < 1e-9);
  }
}

}  // namespace

TEST_CASE("the convolution of a state space is its recurrence at every length", "[s4d]") {
  check_lengths(S4d<double, Dynamic, Dynamic>(2, 16));
  check_lengths(S4d<double, Dynamic, Dynamic>(2, 16, {.discretization = bilinear}));
  check_lengths(Dss<double, Dynamic, Dynamic>(2, 8));
  check_lengths(S4<double, Dynamic, Dynamic>(2, 16));
}

TEST_CASE("an s4d reads an input that is held twice as long by a plan of half the step", "[s4d]") {
  S4d<double, Dynamic, Dynamic> layer(3, 8);
  initialize(layer, 2);
  const auto x = random_sequence<double>(1, 50, 3, 1);
  Sequence<double> held(1, 100, 3);
  for (Index t = 0; t < 100; ++t) std::copy_n(&x(0, t / 2, 0), 3, &held(0, t, 0));
  const auto coarse = scanned(prepare(layer), x);
  layer.options.step_scale = 0.5;
  const auto fine = scanned(prepare(layer), held);
  double most = 0;
  for (Index t = 0; t < 50; ++t) {
    for (Index f = 0; f < 3; ++f) most = std::max(most, std::abs(coarse(0, t, f) - fine(0, 2 * t + 1, f)));
  }
  CHECK(most < 1e-11);
}
