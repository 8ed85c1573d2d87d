#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/ops/decay_attention_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Training of the layers that scan a decaying state. The tape keeps a view of x and the states at the start of every
/// segment of about 64 tokens; the rest is worked out once more.
template <class L>
requires(L::scans_decaying_state) struct Training<L> {
  using S = typename L::scalar_type;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    Tensor<S, Dynamic> states;
    DecayCheckpoints<S> kept;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::Inputs> x,
                      SequenceView<S, L::Outputs> y, Tape& tape) {
    constexpr bool recurrent = std::same_as<Form, Recurrent>;
    const auto op = layer.attention(x);
    tape.x = x;
    tape.kept = decay_checkpoints(op, detail::schedule_of(form), recurrent, tape.states);
    decay_attention_scan(op, state.view(), SequenceView<S>(y), detail::schedule_of(form), recurrent, tape.workspace,
                         tape.kept);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::Outputs> dy, const State& dstate_end, L&,
                       SequenceView<S, L::Inputs> dx, State& dstate_start) {
    const SequenceView<S> to(dx);
    dstate_start = dstate_end;
    tape.kept.data = tape.states.data();  // of this tape, were it a copy
    decay_attention_backward(layer.attention(tape.x, to), {layer.queries(to), layer.keys(to), layer.values(to)},
                             SequenceView<const S>(dy), dstate_start.view(), tape.kept, tape.workspace);
    clear_padding(tape.x, to);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
