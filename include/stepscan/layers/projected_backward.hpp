#pragma once

#include <stepscan/layers/chain_training.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/projected.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the scan's tape and what lies before and behind the scan. To be included beside the scan's own backward
/// header.
template <class Scan, class InProj, class OutProj, class... Gates>
struct Training<Projected<Scan, InProj, OutProj, Gates...>> {
  using L = Projected<Scan, InProj, OutProj, Gates...>;
  using S = typename L::scalar_type;
  using State = typename L::State;
  using Inner = detail::ChainTraining<InProj, Gates..., Scan, OutProj>;
  using Tape = typename Inner::Tape;

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    NoState none;
    Inner::forward(layer.chained(), form, states(none, state.scan), x, y, tape);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, L::static_inputs> dx, State& dstate_start) {
    NoState none;
    Inner::backward(layer.chained(), tape, dy, states(none, dstate_end.scan), gradient.chained(), dx,
                    states(none, dstate_start.scan));
  }

 private:
  template <class T>
  static auto states(NoState& none, T& scan) noexcept {
    return detail::projected_states<Gates...>(none, scan);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
