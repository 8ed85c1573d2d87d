#pragma once

#include <stepscan/ops/activation.hpp>
#include <stepscan/ops/norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What linear attention, Mamba-2 and their kin put behind the scan: normalised features times a gate,
///   y = Norm(x) * f(gate)
/// rows of one token each. With `shared` weights of one head and as many groups as heads, RMS norm per head (arXiv
/// 2312.06635, section 4.4, where f is silu). y may be x or gate.
template <Centre About, class Function, class Math, Scalar S>
void normalize_gated(const Norm<S>& norm, MatrixView<const S> x, MatrixView<const S> gate, MatrixView<S> y) noexcept {
  normalize_with<About, S>(norm, x, y, [&](Index r, Index i, auto lanes, Simd<S> value) {
    return value * Function::template apply<Math>(lanes.load(gate.row(r) + i));
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
