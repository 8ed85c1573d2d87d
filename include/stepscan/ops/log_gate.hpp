#pragma once

#include <limits>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The log decays of gated linear attention (arXiv 2312.06635, section 4.4), from the pre-activations a of the gates:
///   g = max(lowest, logsigmoid(a) / tau) <= 0
/// tau = 16 in the paper: decays start near one.
template <Scalar S>
struct LogGate {
  S tau = 16;
  S lowest = -std::numeric_limits<S>::infinity();
};

/// Rows of one token each. g may be a.
template <class Math, Scalar S>
void log_gate(const LogGate<S>& gate, MatrixView<const S> a, MatrixView<S> g) noexcept {
  const Simd<S> slope(S{1} / gate.tau), lowest(gate.lowest);
  for (Index r = 0; r < a.rows; ++r) {
    for_each_lanes<S>(a.cols, [&](Index i, auto lanes) {
      lanes.store(g.row(r) + i, max(lowest, logsigmoid<Math>(lanes.load(a.row(r) + i)) * slope));
    });
  }
}

/// da = dg sigmoid(-a) / tau, and zero where g is held at the lowest. da may be a or dg.
template <Scalar S>
void log_gate_backward(const LogGate<S>& gate, MatrixView<const S> a, MatrixView<const S> dg,
                       MatrixView<S> da) noexcept {
  const Simd<S> slope(S{1} / gate.tau), lowest(gate.lowest), zero(S{0});
  for (Index r = 0; r < a.rows; ++r) {
    for_each_lanes<S>(a.cols, [&](Index i, auto lanes) {
      const Simd<S> x = lanes.load(a.row(r) + i);
      const Simd<S> passed = lanes.load(dg.row(r) + i) * sigmoid(zero - x) * slope;
      lanes.store(da.row(r) + i, select(logsigmoid(x) * slope < lowest, zero, passed));
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
