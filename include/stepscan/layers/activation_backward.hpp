#pragma once

#include <stepscan/layers/activation.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone.
template <Scalar S, Index Features, class Function, class Math>
struct Training<Activation<S, Features, Function, Math>> {
  using L = Activation<S, Features, Function, Math>;

  struct Tape {
    SequenceView<const S, Features> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, form);
  }

  static void backward(const L&, Tape& tape, SequenceView<const S, Features> dy, const NoState&, L&,
                       SequenceView<S, Features> dx, NoState&) {
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      activate_backward<Function, S>(tape.x.member(b).middle_rows(0, tokens), dy.member(b).middle_rows(0, tokens),
                                     dx.member(b).middle_rows(0, tokens));
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
