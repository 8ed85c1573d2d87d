#pragma once

#include <stepscan/layers/affine_layer.hpp>
#include <stepscan/ops/affine_scan_gated_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Training of MinGru and MinLstm. The tape holds the pre-activations and outputs of every token; the cotangents of the
/// state are scanned backwards by the same schedule as the forward pass was.
template <class Cell, class Named, Scalar S, Index Inputs, Index Hidden, class Default>
struct Training<AffineRecurrence<Cell, Named, S, Inputs, Hidden, Default>> {
  using L = AffineRecurrence<Cell, Named, S, Inputs, Hidden, Default>;
  using State = typename L::State;
  using Sequences = Tensor<S, Dynamic, Dynamic, Dynamic>;

  struct Tape {
    SequenceView<const S> x;
    Sequences pre;   ///< [batch, time, gates * hidden]
    Sequences h;     ///< [batch, time, hidden]
    Sequences dpre;  ///< [batch, time, gates * hidden], of the backward pass alone
    Tensor<S, Dynamic, Dynamic> start;
    ScanSchedule schedule;
    Workspace workspace;

    [[nodiscard]] GatedAffineTrace<S> trace() { return {pre, h}; }
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Inputs> x,
                      SequenceView<S, Hidden> y, Tape& tape) {
    const Index hidden = layer.output_size();
    tape.x = x;
    tape.schedule = detail::schedule_of(form);
    resize(tape.pre, {x.batch, x.time, layer.bias.size()});
    resize(tape.h, {x.batch, x.time, hidden});
    resize(tape.start, {x.batch, hidden});
    std::copy(state.h.begin(), state.h.end(), tape.start.begin());
    layer.with_packed_weights(tape.workspace, [&](const auto& weights, auto math) {
      gated_affine_scan<Cell, decltype(math), S>(weights, state.h, x, y, tape.schedule, tape.workspace, tape.trace());
    });
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Hidden> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Inputs> dx, State& dstate_start) {
    resize(tape.dpre, {tape.x.batch, tape.x.time, layer.bias.size()});
    dstate_start.h = dstate_end.h;
    gated_affine_backward<Cell, S>(layer.weight, tape.trace(), tape.start, tape.x, dy, dstate_start.h, tape.dpre, dx,
                                   gradient.weight, gradient.bias.data(), tape.schedule, tape.workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
