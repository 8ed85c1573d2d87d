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
  CAPTURE(L::name);
  for (const Index time : {1, 2, 3, 63, 64, 65, 100, 1000, 4095, 4096, 4097}) {
    const auto x = random_sequence<double>(1, time, layer.input_size(), 3);
    const auto expected = scanned(plan, x, Recurrent{});
    CAPTURE(time);
    CHECK(distance(scanned(plan, x, Convolution{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Chunked<>{}), expected) < 1e-9);
    CHECK(distance(scanned(plan, x, Parallel<24>{}), expected) < 1e-9);
  }
  // The kernel is what an impulse leaves, without the skip.
  constexpr Index taps = 4097;
  Sequence<double> impulse(1, taps, layer.input_size());
  std::fill_n(impulse.data(), layer.input_size(), 1.0);
  const auto response = scanned(layer, impulse, Recurrent{});
  Tensor<double, Dynamic, Dynamic> kernel(layer.output_size(), taps);
  Workspace workspace;
  layer.kernel(MatrixView<double>(kernel), workspace);
  double most = 0;
  for (Index f = 0; f < layer.output_size(); ++f) {
    kernel(f, 0) += layer.D[f];
    for (Index t = 0; t < taps; ++t) most = std::max(most, std::abs(kernel(f, t) - response(0, t, f)));
  }
  CHECK(most < 1e-9);
}

/// A layer against its plan of half the step, which reads every input twice.
template <class L>
void check_held(const L& coarse, const L& fine) {
  const auto x = random_sequence<double>(1, 50, 3, 1);
  const auto expected = scanned(prepare(coarse), x);
  CHECK(distance_at_odd_tokens(expected, scanned(prepare(fine), held_twice(x))) < 1e-11);
}

}  // namespace

TEST_CASE("the convolution of a state space is its recurrence at every length, its kernel what an impulse leaves",
          "[s4d]") {
  check_lengths(S4d<double, Dynamic, Dynamic>(2, 16));
  check_lengths(S4d<double, Dynamic, Dynamic>(2, 16, {.discretization = bilinear}));
  check_lengths(Dss<double, Dynamic, Dynamic>(2, 8));
  check_lengths(S4<double, Dynamic, Dynamic>(2, 16));
}

TEST_CASE("an s4d reads an input that is held twice as long by a plan of half the step", "[s4d]") {
  S4d<double, Dynamic, Dynamic> layer(3, 8);
  initialize(layer, 2);
  auto fine = layer;
  fine.options.step_scale = 0.5;
  check_held(layer, fine);
}

TEST_CASE("a dss reads an input that is held twice as long by a plan of half the step and twice the taps", "[dss]") {
  Dss<double, Dynamic, Dynamic> layer(3, 8, {.kernel_length = 60});
  initialize(layer, 2);
  for (Index f = 0; f < 3; ++f) layer.A.re(f, 1) = 0.3;  // one that grows
  auto fine = layer;
  fine.options.step_scale = 0.5;
  fine.options.kernel_length = 120;
  check_held(layer, fine);
}

TEST_CASE("a state space reads a million tokens in the memory of some thousand", "[s4d]") {
  S4d<float, 1, 16> layer;
  initialize(layer, 1);
  const auto plan = prepare(layer);
  constexpr Index few = 4096, many = 1 << 20;
  const auto memory = [&](Index time, const auto& form) {
    const auto x = random_sequence<float>(1, time, 1, 2);
    Sequence<float> y(1, time, 1);
    auto state = plan.initial_state(1);
    Workspace workspace;
    plan.scan(state, x, y, workspace, form);
    return workspace.capacity();
  };
  CHECK(memory(many, Chunked<>{}) == memory(few, Chunked<>{}));
  CHECK(memory(many, Convolution{}) == memory(few, Convolution{}));
  CHECK(memory(many, Recurrent{}) == memory(few, Recurrent{}));
}

TEST_CASE("a kernel is made without a number for every tap and mode", "[s4d]") {
  constexpr Index taps = 1 << 16, states = 128;
  S4d<double, Dynamic, Dynamic> layer(1, states);
  initialize(layer, 1);
  Tensor<double, Dynamic, Dynamic> kernel(1, taps);
  Workspace workspace;
  layer.kernel(MatrixView<double>(kernel), workspace);
  CHECK(workspace.capacity() < taps * states * static_cast<Index>(sizeof(double)) / 8);
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
