#pragma once

#include <stepscan/layers/dropout.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the places where the sequences stood, and draws the masks again: dx = m dy / (1 - rate).
template <Scalar S, Index Features, MaskFor For>
struct Training<Dropout<S, Features, For>> {
  using L = Dropout<S, Features, For>;

  struct Tape {
    SequenceView<const S, Features> x;
    DropoutState start;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, DropoutState& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    tape.start = state;
    layer.scan(state, x, y, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const DropoutState&, L&,
                       SequenceView<S, Features> dx, DropoutState&) {
    SequenceView<const S> real = dy;
    real.lengths = tape.x.lengths;
    real.start = tape.x.start;
    drop_tokens<S>(
        layer.rule(), [&](Index b) { return tape.start.place(b); }, real, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
