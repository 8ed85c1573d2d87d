#pragma once

#include <stepscan/layers/softmax_scan.hpp>
#include <stepscan/ops/softmax_scan_backward.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x, the outputs, their log sums and the first state; the cotangents are scanned backwards by the
/// schedule of the forward pass.
template <Scalar S, Index Heads, Index ValueDim, class Default>
struct Training<SoftmaxScan<S, Heads, ValueDim, Default>> {
  using L = SoftmaxScan<S, Heads, ValueDim, Default>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    Tensor<S, Dynamic, Dynamic, Dynamic> y;
    Tensor<S, Dynamic, Dynamic, Dynamic> lse;
    State start;
    ScanSchedule schedule;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::Inputs> x,
                      SequenceView<S, L::Outputs> y, Tape& tape) {
    tape.x = x;
    tape.schedule = detail::schedule_of(form);
    tape.start = state;
    resize(tape.y, {x.batch, x.time, layer.output_size()});
    resize(tape.lse, {x.batch, x.time, layer.heads()});
    const SequenceView<S> kept(tape.y);
    softmax_scan<S>(layer.inputs(x), state.view(), kept, tape.lse, tape.schedule, tape.workspace);
    copy_tokens<S>(x, kept, y);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::Outputs> dy, const State& dstate_end, L&,
                       SequenceView<S, L::Inputs> dx, State& dstate_start) {
    const SequenceView<S> to(dx);
    dstate_start = dstate_end;
    softmax_scan_backward<S>(layer.inputs(tape.x), tape.start.view(),
                             {tape.y, tape.lse, dy, {}, layer.logits(to), layer.values(to)}, dstate_start.view(),
                             tape.schedule, tape.workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
