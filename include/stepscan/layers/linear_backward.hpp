#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone: with dy the cotangent of y,
///   dW = sum_t dy_t x_t^T,   db = sum_t dy_t,   dx_t = W^T dy_t
template <Scalar S, Index Inputs, Index Outputs, bool WithBias>
struct Training<Linear<S, Inputs, Outputs, WithBias>> : detail::InputTraining<Linear<S, Inputs, Outputs, WithBias>> {
  using L = Linear<S, Inputs, Outputs, WithBias>;
  using Tape = typename detail::InputTraining<L>::Tape;

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Outputs> dy, const NoState&, L& gradient,
                       SequenceView<S, Inputs> dx, NoState&) {
    SequenceView<const S, Inputs> x = tape.x;
    clear_padding(x, dx);
    if (!x.is_ragged() && dx.time == 1) {
      multiply(layer, x.frame(0), dy.frame(0), gradient, dx.frame(0));
      return;
    }
    for (Index b = 0; b < x.batch; ++b) {
      const Index tokens = x.length(b);
      multiply(layer, x.member(b).middle_rows(0, tokens), dy.member(b).middle_rows(0, tokens), gradient,
               dx.member(b).middle_rows(0, tokens));
    }
  }

 private:
  static void multiply(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L& gradient, MatrixView<S> dx) {
    if (x.rows == 0) return;
    gemm_add_left_transposed<S>(gradient.weight, dy, x);
    if constexpr (WithBias) add_rows_to<S>(dy, gradient.bias.data());
    for (Index r = 0; r < dx.rows; ++r) std::fill_n(dx.row(r), Index{dx.cols}, S{0});
    gemm_add<S>(dx, dy, layer.weight);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
