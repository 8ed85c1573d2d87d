#pragma once

#include <stepscan/layers/selective_scan.hpp>
#include <stepscan/ops/selective_scan_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x and the states that entered every few tokens.
template <Scalar S, Index Features, Index StateSize, Index Groups, class Default, std::size_t P>
struct Training<SelectiveScan<S, Features, StateSize, Groups, Default, P>> {
  using L = SelectiveScan<S, Features, StateSize, Groups, Default, P>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    Tensor<S, Dynamic> checkpoints;
    ScanSchedule schedule;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S> x,
                      SequenceView<S, Features> y, Tape& tape) {
    const Workspace::Scope scope(tape.workspace);
    const SelectiveParameters<S, P> p = pack_parameters(layer.parameters(), tape.workspace);
    tape.x = x;
    tape.schedule = detail::schedule_of(form);
    const Index size = selective_checkpoint_size<S, P>(p.layout, x.batch, x.time, tape.schedule);
    if (tape.checkpoints.size() < size) tape.checkpoints = Tensor<S, Dynamic>(size);
    selective_scan<Exact, S>(p, layer.shape().slice(x), planes_data(state.h), y, tape.schedule, tape.workspace,
                             tape.checkpoints.data());
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S> dx, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    const auto or_null = [](auto& tensor) { return tensor.empty() ? nullptr : tensor.data(); };
    const auto matrix = [](auto& tensor) { return tensor.empty() ? Planes<MatrixView<S>, P>() : planes_view(tensor); };
    dstate_start.h = dstate_end.h;
    selective_scan_backward<S>(
        pack_parameters(layer.parameters(), tape.workspace), layer.shape().slice(tape.x), tape.checkpoints.data(), dy,
        planes_data(dstate_start.h), layer.shape().slice(dx),
        {matrix(gradient.A), matrix(gradient.B), matrix(gradient.C), or_null(gradient.D), or_null(gradient.delta_bias)},
        tape.schedule, tape.workspace);
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
