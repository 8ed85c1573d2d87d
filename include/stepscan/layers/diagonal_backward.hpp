#pragma once

#include <stepscan/layers/diagonal_layer.hpp>
#include <stepscan/ops/diagonal_kernel_backward.hpp>
#include <stepscan/ops/linear_system_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Training of a diagonal layer L. The tape holds a view of x and the state the sequence started from; the backward
/// pass is that of the chunk operators, whatever form the forward pass had. Parameters provides
///   pull_back(layer, feature, cotangents, gradient)     from the modes of a feature to the parameters
template <class L, class Parameters>
struct DiagonalTraining {
  using S = typename L::scalar_type;
  using State = typename L::State;
  static constexpr Index Features = L::static_inputs;

  struct Tape {
    SequenceView<const S> x;
    State start;
    Index chunk = 0;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    tape.start = state;
    tape.chunk = system_chunk(form, 2 * layer.modes(), false);
    if (x.batch > 0 && x.time > 0) layer.scan(state, x, y, tape.workspace, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    dstate_start.h = dstate_end.h;
    const DiagonalSystem system = layer.system(workspace);
    const SystemShape shape = system_shape(system, tape.chunk);
    const ChunkSystem<const S> operators = diagonal_chunk_system<S>(
        system, tape.chunk, workspace.take<S>(shape.operators_size() * shape.features), workspace);
    const Index room = diagonal_backward_room(system.modes, tape.chunk);
    double* rooms = workspace.take<double>(max_threads() * room);
    linear_system_backward<S>(operators, tape.x, std::as_const(tape.start).view(), dy, dstate_start.view(), dx,
                              workspace, [&](Index f, const ChunkOperators<const S>& d, Index worker) {
                                const ModeCotangents g =
                                    diagonal_operators_backward<S>(system, f, tape.chunk, d, rooms + worker * room);
                                Parameters::pull_back(layer, f, g, gradient);
                              });
  }

  /// Adds to `gradient` what the cotangent of the layer's kernel [features, length] gives.
  static void kernel_backward(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    const Workspace::Scope scope(workspace);
    diagonal_kernel_backward<S>(layer.system(workspace), dkernel, workspace, [&](Index f, const ModeCotangents& g) {
      Parameters::pull_back(layer, f, g, gradient);
    });
  }
};

/// to += value.
template <class Tensors>
void add_complex(Tensors& to, Index f, Index n, std::complex<double> value) noexcept {
  using S = typename std::remove_cvref_t<decltype(to.re)>::value_type;
  to.re(f, n) += static_cast<S>(value.real());
  to.im(f, n) += static_cast<S>(value.imag());
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
