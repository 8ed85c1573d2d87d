#include <complex>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/s5.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

#include "resampling.hpp"

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Complex = std::complex<double>;
using Dynamic5 = S5<double, Dynamic, Dynamic>;

}  // namespace

TEST_CASE("an s5 reads an input of twice the rate by a plan of half the step", "[s5]") {
  Dynamic5 layer(3, 8);
  initialize(layer, 1);
  const auto x = random_sequence<double>(2, 40, 3, 2);
  const auto y = scanned(prepare(layer), x);
  layer.options.step_scale = 0.5;
  // Zero-order hold is exact for an input that is held.
  CHECK(distance_at_odd_tokens(y, scanned(prepare(layer), held_twice(x))) < 1e-12);

  // Other rules agree as far as a smooth input and a small step allow.
  layer.options.discretization = bilinear;
  for (double& value : layer.log_step) value = std::log(0.01);
  const auto fine = scanned(prepare(layer), waves(200, 3, 0.1));
  layer.options.step_scale = 1;
  CHECK(distance_at_odd_tokens(scanned(prepare(layer), waves(100, 3, 0.2)), fine) < 0.1);
}

TEST_CASE("a fresh s5 is a HiPPO system in its eigenvectors", "[s5]") {
  Dynamic5 layer(2, 12, {.blocks = 3});
  initialize(layer, 3);
  for (Index p = 0; p < 12; ++p) {
    CHECK(layer.Lambda.re[p] == Approx(-0.5));
    CHECK(layer.Lambda.im[p] > 0);
    CHECK(layer.Lambda.im[p] == Approx(layer.Lambda.im[p % 4]));
    CHECK(layer.log_step[p] >= std::log(0.001));
    CHECK(layer.log_step[p] <= std::log(0.1));
  }
  Dynamic5 all(2, 8, {.conj_sym = false});
  initialize(all, 3);
  const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, 8, 1);
  for (Index p = 0; p < 8; ++p) {
    CHECK(all.Lambda.im[p] == Approx(-all.Lambda.im[7 - p]));
    for (Index f = 0; f < 2; ++f) {
      Complex weight = 0;  // of the system before it was diagonalised: real
      for (Index n = 0; n < 8; ++n) weight += form.V(p, n) * Complex(all.B.re(n, f), all.B.im(n, f));
      CHECK(std::abs(weight.imag()) < 1e-13);
    }
  }
  Dynamic5 wide(40, 16);
  initialize(wide, 3);
  double sum = 0;
  for (Index i = 0; i < wide.C.re.size(); ++i) sum += wide.C.re[i] * wide.C.re[i] + wide.C.im[i] * wide.C.im[i];
  // Of twice 16 states of a variance of 2 / 32 each, the half that is kept.
  CHECK(sum / 40 == Approx(1).epsilon(0.1));
  Dynamic5 uneven(2, 8, {.blocks = 3});
  CHECK_THROWS_AS(initialize(uneven, 1), ArgumentError);
}

TEST_CASE("clipped eigenvalues of an s5 decay, and their real parts have no gradient", "[s5]") {
  Dynamic5 layer(2, 3, {.clip_eigs = true});
  initialize(layer, 1);
  layer.Lambda.re[1] = 0.5;
  CHECK(layer.eigenvalue(1).real() == -1e-4);
  const auto x = random_sequence<double>(1, 9, 2, 2);
  Sequence<double> y(1, 9, 2), dx(1, 9, 2);
  Tape<Dynamic5> tape;
  auto gradient = zeros_like(layer);
  auto state = layer.initial_state(1), dend = state, dstart = state;
  layer.forward(state, x, y, tape);
  layer.backward(tape, SequenceView<const double>(x), dend, gradient, dx, dstart);
  CHECK(gradient.Lambda.re[1] == 0);
  CHECK(gradient.Lambda.im[1] != 0);
  CHECK(gradient.Lambda.re[0] != 0);
  CHECK(gradient_error(layer, 2, 7, {7, 4}) < 1e-7);
}

TEST_CASE("an s5 in both directions is two of one direction", "[s5]") {
  BidirectionalS5<double, Dynamic, Dynamic> both(3, 4);
  randomize(both, 5, -0.6, -0.1);
  const auto x = random_sequence<double>(2, 37, 3, 6);
  const auto y = scanned(both, x, Parallel<8>{});
  const auto part = [&](Index first, bool skip) {
    Dynamic5 one(3, 4);
    one.Lambda = both.Lambda;
    one.B = both.B;
    one.log_step = both.log_step;
    if (skip) one.D = both.D;
    for (Index f = 0; f < 3; ++f) {
      for (Index p = 0; p < 4; ++p) {
        one.C.re(f, p) = both.C.re(f, first + p);
        one.C.im(f, p) = both.C.im(f, first + p);
      }
    }
    return one;
  };
  Sequence<double> reversed(x.shape());
  reverse_into<double>(SequenceView<const double>(x), 0, SequenceView<double>(reversed));
  const auto forward = scanned(part(0, true), x), backward = scanned(part(4, false), reversed);
  double most = 0;
  for (Index b = 0; b < 2; ++b) {
    for (Index t = 0; t < 37; ++t) {
      for (Index i = 0; i < 3; ++i) {
        most = std::max(most, std::abs(y(b, t, i) - forward(b, t, i) - backward(b, 36 - t, i)));
      }
    }
  }
  CHECK(most < 1e-13);
}

TEST_CASE("a fresh lru lies on its ring and keeps the size of its input", "[lru]") {
  const LruRing ring{0.5, 0.99, 0.3};
  Lru<double, Dynamic, Dynamic> layer(2, 50, ring);
  initialize(layer, 1);
  for (Index p = 0; p < 50; ++p) {
    const DiscreteMode mode = layer.mode(p);
    CHECK(std::abs(mode.transition) >= 0.5 - 1e-12);
    CHECK(std::abs(mode.transition) <= 0.99 + 1e-12);
    CHECK(std::arg(mode.transition) <= 0.3);
    CHECK(std::arg(mode.transition) >= 0);
    CHECK(std::norm(mode.transition) + std::norm(mode.input) == Approx(1));
  }
}

TEST_CASE("an s5 in bfloat16 is close to one in float", "[s5]") {
  S5<float, 16, 24> layer;
  initialize(layer, 1);
  const auto x = random_sequence<float>(1, 50, 16, 2);
  CHECK(distance(scanned(prepare(layer), x), scanned(prepare<BFloat16>(layer), x)) < 0.05);
  CHECK(distance(scanned(prepare(layer), x, Recurrent{}), scanned(layer, x)) < 1e-4);
}

TEST_CASE("the memory of an s5 scan does not grow with the sequence", "[s5]") {
  S5<float, 16, 24> layer;
  initialize(layer, 1);
  const auto plan = prepare(layer);
  CHECK(scan_memory(plan, 1, 4096) == scan_memory(plan, 1, 65536));
}
