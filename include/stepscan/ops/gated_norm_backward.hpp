#pragma once

#include <stepscan/ops/gated_norm.hpp>
#include <stepscan/ops/norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// From x, the gate and the cotangent of y = n f(gate), n = Norm(x), rows of one token each:
///   dgate = f'(gate) n dy,   dn = f(gate) dy,   and dx, dweight, dbias from dn as in normalize_backward
/// dx may be dy; dgate must be neither x, gate nor dy.
template <Centre About, class Function, Scalar S>
void normalize_gated_backward(const Norm<S>& norm, MatrixView<const S> x, MatrixView<const S> gate,
                              MatrixView<const S> dy, const NormGradient<S>& gradient, MatrixView<S> dx,
                              MatrixView<S> dgate) noexcept {
  normalize_with<About, S>(norm, x, dgate, [&](Index r, Index i, auto lanes, Simd<S> value) {
    return value * activation_slope<Function>(lanes.load(gate.row(r) + i)) * lanes.load(dy.row(r) + i);
  });
  for (Index r = 0; r < x.rows; ++r) {
    for_each_lanes<S>(x.cols, [&](Index i, auto lanes) {
      const Simd<S> opened = Function::template apply<Exact>(lanes.load(gate.row(r) + i));
      lanes.store(dx.row(r) + i, opened * lanes.load(dy.row(r) + i));
    });
  }
  normalize_backward<About, S>(norm, x, dx, gradient, dx);
}

}  // namespace stepscan::inline STEPSCAN_ISA
