#pragma once

#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/ops/conv1d_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone.
template <Scalar S, Index Inputs, Index Outputs, Index Kernel, bool WithBias>
struct Training<Conv1d<S, Inputs, Outputs, Kernel, WithBias>>
    : detail::InputTraining<Conv1d<S, Inputs, Outputs, Kernel, WithBias>> {
  using L = Conv1d<S, Inputs, Outputs, Kernel, WithBias>;
  using Tape = typename detail::InputTraining<L>::Tape;

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Outputs> dy, const NoState&, L& gradient,
                       SequenceView<S, Inputs> dx, NoState&) {
    conv1d_backward<S>(layer.shape(), layer.weight.data(), tape.x, dy, gradient.weight.data(), gradient.bias.data(), dx,
                       tape.workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
