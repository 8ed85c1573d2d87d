#pragma once

#include <stepscan/layers/chain_training.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/projected.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the scan's tape and what lies before and behind the scan. To be included beside the scan's own backward
/// header.
template <class Scan, class InProj, class OutProj>
struct Training<Projected<Scan, InProj, OutProj>> {
  using L = Projected<Scan, InProj, OutProj>;
  using S = typename L::scalar_type;
  using State = typename L::State;
  using Inner = detail::ChainTraining<InProj, Scan, OutProj>;
  using Tape = typename Inner::Tape;

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    NoState none;
    Inner::forward(layers_of(layer), form, std::tie(none, state.scan, none), x, y, tape);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, L::static_inputs> dx, State& dstate_start) {
    NoState none;
    Inner::backward(layers_of(layer), tape, dy, std::tie(none, dstate_end.scan, none), layers_of(gradient), dx,
                    std::tie(none, dstate_start.scan, none));
  }

 private:
  template <class T>
  static auto layers_of(T& layer) noexcept {
    return std::tie(layer.in_proj, layer.scan_layer, layer.out_proj);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
