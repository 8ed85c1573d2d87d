#pragma once

#include <stepscan/layers/decay_gate.hpp>
#include <stepscan/layers/stateless_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class L>
struct DecayGatePullback {
  using S = typename L::scalar_type;

  static void pull_back(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L& gradient, MatrixView<S> dx) {
    decay_gate_backward<S>(layer.gate(), x, dy, {gradient.A_log.data(), gradient.dt_bias.data()}, dx);
  }
};

}  // namespace detail

template <Scalar S, Index Heads, class Math>
struct Training<LearnedDecay<S, Heads, Math>>
    : detail::StatelessTraining<LearnedDecay<S, Heads, Math>, detail::DecayGatePullback<LearnedDecay<S, Heads, Math>>> {
};

}  // namespace stepscan::inline STEPSCAN_ISA
