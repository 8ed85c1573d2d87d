#pragma once

#include <stepscan/layers/glu.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone.
template <Scalar S, Index Features, class Function, class Math>
struct Training<Glu<S, Features, Function, Math>> {
  using L = Glu<S, Features, Function, Math>;

  struct Tape {
    SequenceView<const S, L::static_inputs> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& state, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const NoState&, L&,
                       SequenceView<S, L::static_inputs> dx, NoState&) {
    const Index features = layer.output_size();
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      const auto x = tape.x.member(b).middle_rows(0, tokens);
      const auto to = dx.member(b).middle_rows(0, tokens);
      glu_backward<Function, S>(x.middle_cols(features, features), x.middle_cols(0, features),
                                dy.member(b).middle_rows(0, tokens), to.middle_cols(features, features),
                                to.middle_cols(0, features));
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
