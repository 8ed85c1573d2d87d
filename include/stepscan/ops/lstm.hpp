#pragma once

#include <array>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The pointwise part of an LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):
///   c' = s(a_f) c + s(a_i) tanh(a_g),   h' = s(a_o) tanh(c')
/// of the pre-activations a = W x + U h + b, in the order i, f, g, o.
struct LstmCell {
  enum Gate : std::size_t { input, forget, candidate, output, gates };
  static constexpr std::size_t input_gates = 4;
  static constexpr std::size_t recurrent_gates = 4;
  static constexpr bool late_candidate = false;

  /// h and c, each [batch, hidden].
  template <Scalar S, Index Hidden>
  struct State {
    Tensor<S, Dynamic, Hidden> h;
    Tensor<S, Dynamic, Hidden> c;
    static constexpr auto fields() { return std::tuple{Field{"h", &State::h}, Field{"c", &State::c}}; }
  };
  static constexpr std::size_t states = 2;

  template <class Math, class V>
  static void advance(const std::array<V, gates>& a, std::array<V, states>& state) noexcept {
    auto& [h, c] = state;
    c = fma(sigmoid<Math>(a[forget]), c, sigmoid<Math>(a[input]) * tanh<Math>(a[candidate]));
    h = sigmoid<Math>(a[output]) * tanh<Math>(c);
  }

  /// From the cotangents of h' and c' to those of the pre-activations and of h and c before the step (that of h without
  /// its way through U).
  template <class V>
  static void pull_back(const std::array<V, gates>& a, const std::array<V, states>& before, std::array<V, gates>& da,
                        std::array<V, states>& dstate) noexcept {
    const V i = sigmoid(a[input]), f = sigmoid(a[forget]), g = tanh(a[candidate]), o = sigmoid(a[output]);
    const V c = before[1], tanh_c = tanh(fma(f, c, i * g)), one(1);
    auto& [dh, dc] = dstate;
    dc = fma(dh * o, one - tanh_c * tanh_c, dc);
    da[input] = dc * g * i * (one - i);
    da[forget] = dc * c * f * (one - f);
    da[candidate] = dc * i * (one - g * g);
    da[output] = dh * tanh_c * o * (one - o);
    dc = dc * f;
    dh = V(0);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
