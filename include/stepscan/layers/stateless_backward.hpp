#pragma once

#include <stepscan/layers/stateless.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The tape and the forward pass of a layer whose backward pass needs a view of x alone.
template <class L>
struct InputTraining {
  using S = typename L::scalar_type;

  struct Tape {
    SequenceView<const S, L::static_inputs> x;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state,
                      SequenceView<const S, L::static_inputs> x, SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, tape.workspace, form);
  }
};

/// Training of such a layer without state. Pullback provides
///   pull_back(layer, x, dy, gradient, dx)     for the real tokens of a batch member, matrices [tokens, features]
template <class L, class Pullback>
struct StatelessTraining : InputTraining<L> {
  using S = typename L::scalar_type;
  using Tape = typename InputTraining<L>::Tape;

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const NoState&,
                       L& gradient, SequenceView<S, L::static_inputs> dx, NoState&) {
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      Pullback::pull_back(layer, tape.x.member(b).middle_rows(0, tokens), dy.member(b).middle_rows(0, tokens), gradient,
                          dx.member(b).middle_rows(0, tokens));
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
