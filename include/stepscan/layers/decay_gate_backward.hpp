#pragma once

#include <stepscan/layers/decay_gate.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone.
template <Scalar S, Index Heads, class Math>
struct Training<LearnedDecay<S, Heads, Math>> {
  using L = LearnedDecay<S, Heads, Math>;

  struct Tape {
    SequenceView<const S, Heads> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& state, SequenceView<const S, Heads> x,
                      SequenceView<S, Heads> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Heads> dy, const NoState&, L& gradient,
                       SequenceView<S, Heads> dx, NoState&) {
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      decay_gate_backward<S>(layer.gate(), tape.x.member(b).middle_rows(0, tokens), dy.member(b).middle_rows(0, tokens),
                             {gradient.A_log.data(), gradient.dt_bias.data()}, dx.member(b).middle_rows(0, tokens));
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
