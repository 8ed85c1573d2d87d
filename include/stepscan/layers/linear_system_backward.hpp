#pragma once

#include <stepscan/layers/linear_system_layer.hpp>
#include <stepscan/ops/linear_system_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Training of a layer of linear systems. The tape holds a view of x and the state that the sequence started from; the
/// backward pass is that of the chunk operators, whatever form the forward pass had. A Pullback(layer, chunk, gradient,
/// workspace) adds to the gradient when called as pullback(feature, cotangents of its operators, worker), and has
///   kernel(layer, dkernel, gradient, workspace)
/// for the cotangent of the impulse responses.
template <class L, class Pullback>
struct LinearSystemTraining {
  using S = typename L::scalar_type;
  using State = typename L::State;
  using Inputs = SequenceView<const S, L::static_inputs>;
  using Outputs = SequenceView<const S, L::static_outputs>;

  struct Tape {
    SequenceView<const S> x;
    State start;
    Index chunk = 0;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, Inputs x, SequenceView<S, L::static_outputs> y,
                      Tape& tape) {
    tape.x = x;
    tape.start = state;
    tape.chunk = system_chunk(form, layer.states(), L::dense);
    layer.scan(state, x, y, tape.workspace, form);
  }

  static void backward(const L& layer, Tape& tape, Outputs dy, const State& dstate_end, L& gradient,
                       SequenceView<S, L::static_inputs> dx, State& dstate_start) {
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    dstate_start.h = dstate_end.h;
    const ChunkSystem<const S> operators = layer.operators(tape.chunk, workspace);
    const Pullback pullback(layer, tape.chunk, gradient, workspace);
    linear_system_backward<S>(operators, tape.x, std::as_const(tape.start).view(), dy, dstate_start.view(), dx,
                              workspace, pullback);
  }

  /// Adds to `gradient` what the cotangent of the layer's kernel [outputs, length] gives.
  static void kernel_backward(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    const Workspace::Scope scope(workspace);
    Pullback::kernel(layer, dkernel, gradient, workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
