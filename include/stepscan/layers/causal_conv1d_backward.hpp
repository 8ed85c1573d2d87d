#pragma once

#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/ops/causal_conv1d_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x and the first windows; pre-activations are computed again.
template <Scalar S, Index Features, Index Width, bool WithBias, class Function, class Default>
struct Training<CausalConv1d<S, Features, Width, WithBias, Function, Default>> {
  using L = CausalConv1d<S, Features, Width, WithBias, Function, Default>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S, Features> x;
    decltype(State::conv) start;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    tape.start = state.conv;
    layer.scan(state, x, y, tape.workspace, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    S* taps = tape.workspace.template take<S>(layer.weight.size());
    transpose_taps<S>(layer.weight, taps);
    const ConvTaps<S, Width> conv{{taps, layer.width(), layer.input_size()}, layer.bias.data()};
    causal_conv1d_backward<Function, S, Width>(conv, tape.start.data(), tape.x, dy, dstate_end.conv.data(), dx,
                                               dstate_start.conv.data(), gradient.weight, gradient.bias.data(),
                                               tape.workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
