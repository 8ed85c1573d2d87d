#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Adds to dweight and, unless it is null, to dbias; writes dx:
///   dW = sum_t dy_t x_t^T,   db = sum_t dy_t,   dx_t = W^T dy_t
template <Scalar S>
void linear_backward(MatrixView<const S> weight, SequenceView<const S> x, SequenceView<const S> dy,
                     MatrixView<S> dweight, S* dbias, SequenceView<S> dx) {
  const auto multiply = [&](MatrixView<const S> inputs, MatrixView<const S> outputs, MatrixView<S> cotangents) {
    if (inputs.rows == 0) return;
    gemm_add_left_transposed<S>(dweight, outputs, inputs);
    if (dbias != nullptr) add_rows_to<S>(outputs, dbias);
    for (Index r = 0; r < cotangents.rows; ++r) std::fill_n(cotangents.row(r), Index{cotangents.cols}, S{0});
    gemm_add<S>(cotangents, outputs, weight);
  };
  clear_padding(x, dx);
  if (!x.is_ragged() && dx.time == 1) {
    multiply(x.frame(0), dy.frame(0), dx.frame(0));
    return;
  }
  for (Index b = 0; b < x.batch; ++b) {
    const Index tokens = x.length(b);
    multiply(x.member(b).middle_rows(0, tokens), dy.member(b).middle_rows(0, tokens),
             dx.member(b).middle_rows(0, tokens));
  }
}

}  // namespace detail

/// Keeps a view of x alone.
template <Scalar S, Index Inputs, Index Outputs, bool WithBias>
struct Training<Linear<S, Inputs, Outputs, WithBias>> : detail::InputTraining<Linear<S, Inputs, Outputs, WithBias>> {
  using L = Linear<S, Inputs, Outputs, WithBias>;
  using Tape = typename detail::InputTraining<L>::Tape;

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Outputs> dy, const NoState&, L& gradient,
                       SequenceView<S, Inputs> dx, NoState&) {
    detail::linear_backward<S>(layer.weight, tape.x, dy, gradient.weight, gradient.bias.data(), dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
