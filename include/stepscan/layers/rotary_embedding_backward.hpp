#pragma once

#include <stepscan/layers/rotary_embedding.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the shape of x and the positions alone: a rotation's transpose turns back. Positions have no cotangents.
template <Scalar S, Index Heads, Index HeadDim, Index Passed>
struct Training<RotaryEmbedding<S, Heads, HeadDim, Passed>> {
  using L = RotaryEmbedding<S, Heads, HeadDim, Passed>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    Tensor<std::int64_t, Dynamic> positions;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    tape.positions = state.position;
    layer.scan(state, x, y, tape.workspace, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const State& dstate_end,
                       L&, SequenceView<S, L::static_inputs> dx, State& dstate_start) {
    dstate_start = dstate_end;
    SequenceView<const S> real = dy;
    real.lengths = tape.x.lengths;
    real.start = tape.x.start;
    rotate_tokens<S>(layer.heads(), layer.half_turns_per_token.data(), tape.positions.data(), true, real, dx,
                     tape.workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
