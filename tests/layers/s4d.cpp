#include <stepscan/layers/dss_initialize.hpp>
#include <stepscan/layers/s4_initialize.hpp>
#include <stepscan/layers/s4d.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "resampling.hpp"

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
  const auto coarse = scanned(prepare(layer), x);
  layer.options.step_scale = 0.5;
  const auto fine = scanned(prepare(layer), held_twice(x));
  CHECK(distance_at_odd_tokens(coarse, fine) < 1e-11);
}

TEST_CASE("an s4 starts as HiPPO-LegS, a dss with its eigenvalues", "[s4d]") {
  constexpr Index modes = 4, size = 2 * modes;
  S4<double, Dynamic, Dynamic> s4(1, size);
  initialize(s4, 1);
  double P2 = 0, B2 = 0, PB = 0;
  for (Index n = 0; n < modes; ++n) {
    const auto P = detail::complex_at(s4.P, 0, n), B = detail::complex_at(s4.B, 0, n);
    P2 += 2 * std::norm(P);
    B2 += 2 * std::norm(B);
    PB += 2 * std::real(std::conj(P) * B);
    CHECK(s4.Lambda.re(0, n) == Approx(-0.5));
    CHECK(s4.Lambda.im(0, n) > 0);
  }
  // P_n = sqrt(n + 1/2) and B_n = sqrt(2 n + 1), whose products no unitary change of basis touches.
  CHECK(P2 == Approx(size * size / 2.0));
  CHECK(B2 == Approx(size * size));
  CHECK(PB == Approx(size * size / std::sqrt(2.0)));

  Dss<double, Dynamic, Dynamic> dss(1, modes);
  initialize(dss, 1);
  for (Index n = 0; n < modes; ++n) CHECK(dss.A.im(0, n) == Approx(s4.Lambda.im(0, n)));
}
