#include <stepscan/layers/lssl.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "resampling.hpp"

using namespace stepscan;
using namespace stepscan::testing;

TEST_CASE("the convolution of an lssl is its recurrence at every length", "[lssl]") {
  Lssl<double, Dynamic, Dynamic, Dynamic> layer(2, 16, 2);
  initialize(layer, 1);
  const auto plan = prepare(layer);
  for (const Index time : {1, 2, 63, 128, 1025, 4097}) {
    const auto x = random_sequence<double>(1, time, 2, 3);
    const auto expected = scanned(plan, x, Recurrent{});
    CAPTURE(time);
    CHECK(distance(scanned(plan, x, Convolution{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Chunked<>{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Chunked<3>{}), expected) < 1e-9);
  }
}

TEST_CASE("an lssl remembers: its state holds what HiPPO's does", "[lssl]") {
  // y = C h reads the past: after a constant input of many windows LegT's state is that of the constant.
  Lssl<double, Dynamic, Dynamic, Dynamic> layer(1, 4, 1, {.measure = HippoMeasure::legt});
  initialize(layer, 1);
  layer.log_dt[0] = std::log(0.05);
  Sequence<double> x(1, 2000, 1), y(1, 2000, 1);
  x.fill(0.7);
  auto state = layer.initial_state(1);
  layer.scan(state, x, y);
  // The constant is the first polynomial alone.
  CHECK(std::abs(state.h(0, 0, 0) - 0.7) < 1e-9);
  for (Index n = 1; n < 4; ++n) CHECK(std::abs(state.h(0, n, 0)) < 1e-9);
}

TEST_CASE("an lssl reads an input of twice the rate by a plan of half the step", "[lssl]") {
  Lssl<double, Dynamic, Dynamic> layer(2, 8);
  initialize(layer, 2);
  for (double& value : layer.log_dt) value = std::log(0.01);
  CHECK(resampling_error(layer) < 0.02);
}
