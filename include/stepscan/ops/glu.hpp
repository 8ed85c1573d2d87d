#pragma once

#include <stepscan/ops/activation.hpp>

/// Gated linear units (Dauphin et al., arXiv 1612.08083; Shazeer, arXiv 2002.05202): y = f(gate) * value, with
/// f = SigmoidActivation for GLU, SiluActivation for SwiGLU, GeluActivation for GEGLU, ReluActivation for ReGLU.
namespace stepscan::inline STEPSCAN_ISA {

/// y = f(gate) * value, rows of one token each. y may be gate or value.
template <class Function, class Math, Scalar S>
void glu(MatrixView<const S> gate, MatrixView<const S> value, MatrixView<S> y) noexcept {
  for (Index r = 0; r < gate.rows; ++r) {
    for_each_lanes<S>(gate.cols, [&](Index i, auto lanes) {
      lanes.store(y.row(r) + i,
                  Function::template apply<Math>(lanes.load(gate.row(r) + i)) * lanes.load(value.row(r) + i));
    });
  }
}

/// dgate = f'(gate) value dy,  dvalue = f(gate) dy. dgate may be gate or dy, and dvalue may be value.
template <class Function, Scalar S>
void glu_backward(MatrixView<const S> gate, MatrixView<const S> value, MatrixView<const S> dy, MatrixView<S> dgate,
                  MatrixView<S> dvalue) noexcept {
  for (Index r = 0; r < gate.rows; ++r) {
    for_each_lanes<S>(gate.cols, [&](Index i, auto lanes) {
      const Simd<S> g = lanes.load(gate.row(r) + i), v = lanes.load(value.row(r) + i), d = lanes.load(dy.row(r) + i);
      lanes.store(dgate.row(r) + i, activation_slope<Function>(g) * v * d);
      lanes.store(dvalue.row(r) + i, Function::template apply<Exact>(g) * d);
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
