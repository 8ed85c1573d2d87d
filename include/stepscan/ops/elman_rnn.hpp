#pragma once

#include <stepscan/ops/gru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The pointwise part of a simple recurrent network (Elman 1990): h' = phi(a) of the pre-activation a = W x + U h + b.
template <class Activation = TanhActivation>
struct ElmanCell {
  static constexpr std::size_t gates = 1;
  static constexpr std::size_t input_gates = 1;
  static constexpr std::size_t recurrent_gates = 1;
  static constexpr bool late_candidate = false;

  template <Scalar S, Index Hidden>
  using State = HiddenState<S, Hidden>;
  static constexpr std::size_t states = 1;

  template <class Math, class V>
  static void advance(const std::array<V, gates>& a, std::array<V, states>& state) noexcept {
    state[0] = Activation::template apply<Math>(a[0]);
  }

  template <class V>
  static void pull_back(const std::array<V, gates>& a, const std::array<V, states>&, std::array<V, gates>& da,
                        std::array<V, states>& dstate) noexcept {
    da[0] = dstate[0] * Activation::slope(Activation::apply(a[0]));
    dstate[0] = V(0);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
