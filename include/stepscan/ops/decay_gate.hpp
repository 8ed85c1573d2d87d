#pragma once

#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The log decays of Mamba-2 and Gated DeltaNet (arXiv 2412.06464, section 3.4) from pre-activations a, one per head:
///   g = -exp(A_log) softplus(a + dt_bias) <= 0
template <class T>
struct DecayGate {
  T* A_log = nullptr;
  T* dt_bias = nullptr;
};

/// Rows of one token each. g may be a.
template <class Math, Scalar S>
void decay_gate(const DecayGate<const S>& gate, MatrixView<const S> a, MatrixView<S> g) noexcept {
  for (Index r = 0; r < a.rows; ++r) {
    for_each_lanes<S>(a.cols, [&](Index h, auto lanes) {
      const Simd<S> step = softplus<Math>(lanes.load(a.row(r) + h) + lanes.load(gate.dt_bias + h));
      lanes.store(g.row(r) + h, Simd<S>(S{0}) - exp<Math>(lanes.load(gate.A_log + h)) * step);
    });
  }
}

/// da = -exp(A_log) sigmoid(a + dt_bias) dg; adds dA_log = sum g dg and the sum of da to the gradient.
template <Scalar S>
void decay_gate_backward(const DecayGate<const S>& gate, MatrixView<const S> a, MatrixView<const S> dg,
                         const DecayGate<S>& gradient, MatrixView<S> da) noexcept {
  for (Index r = 0; r < a.rows; ++r) {
    for_each_lanes<S>(a.cols, [&](Index h, auto lanes) {
      const Simd<S> shifted = lanes.load(a.row(r) + h) + lanes.load(gate.dt_bias + h);
      const Simd<S> through_rate = Simd<S>(S{0}) - exp(lanes.load(gate.A_log + h)) * lanes.load(dg.row(r) + h);
      const Simd<S> through_step = through_rate * sigmoid(shifted);
      lanes.store(gradient.A_log + h, fma(through_rate, softplus(shifted), lanes.load(gradient.A_log + h)));
      lanes.store(gradient.dt_bias + h, lanes.load(gradient.dt_bias + h) + through_step);
      lanes.store(da.row(r) + h, through_step);
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
