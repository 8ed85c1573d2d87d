#pragma once

#include <array>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The candidate's activation: tanh in every paper, max(0, x) in RNNoise.
struct TanhActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return tanh<Math>(x);
  }
  /// The derivative, from the activation's value.
  template <class V>
  static V slope(V y) noexcept {
    return V(1) - y * y;
  }
};
struct ReluActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return select(x > V(0), x, V(0));
  }
  template <class V>
  static V slope(V y) noexcept {
    return select(y > V(0), V(1), V(0));
  }
};

/// A single state h, [batch, hidden].
template <Scalar S, Index Hidden>
struct HiddenState {
  Tensor<S, Dynamic, Hidden> h;
  static constexpr auto fields() { return std::tuple{Field{"h", &HiddenState::h}}; }
};

/// The pointwise part of a GRU (Cho et al. 2014) in the form of cuDNN and PyTorch, where the reset gate scales the
/// recurrent product u of the candidate:
///   n = phi(a_n + s(a_r) u),   h' = (1 - z) n + z h,   z = s(a_z)
/// Pre-activations u, r, z, n: the recurrent weights feed the first three, the input weights the last three.
template <class Activation = TanhActivation>
struct GruCell {
  enum Gate : std::size_t { recurrent_candidate, reset, update, candidate, gates };
  static constexpr std::size_t input_gates = 3;
  static constexpr std::size_t recurrent_gates = 3;
  static constexpr bool late_candidate = false;

  template <Scalar S, Index Hidden>
  using State = HiddenState<S, Hidden>;
  static constexpr std::size_t states = 1;

  template <class Math, class V>
  static void advance(const std::array<V, gates>& a, std::array<V, states>& state) noexcept {
    auto& [h] = state;
    const V n = Activation::template apply<Math>(fma(sigmoid<Math>(a[reset]), a[recurrent_candidate], a[candidate]));
    h = fma(sigmoid<Math>(a[update]), h - n, n);
  }

  template <class V>
  static void pull_back(const std::array<V, gates>& a, const std::array<V, states>& before, std::array<V, gates>& da,
                        std::array<V, states>& dstate) noexcept {
    const V u = a[recurrent_candidate], r = sigmoid(a[reset]), z = sigmoid(a[update]), one(1);
    const V n = Activation::apply(fma(r, u, a[candidate]));
    auto& [dh] = dstate;
    da[candidate] = dh * (one - z) * Activation::slope(n);
    da[recurrent_candidate] = da[candidate] * r;
    da[reset] = da[candidate] * u * r * (one - r);
    da[update] = dh * (before[0] - n) * z * (one - z);
    dh = dh * z;
  }
};

/// The pointwise part of a GRU as first published (arXiv 1406.1078v3) and in Keras without reset_after: the reset gate
/// scales the state before the candidate's recurrent product, which therefore comes late, once r is known:
///   n = phi(a_n + U_n (s(a_r) h)),   h' = (1 - z) n + z h
template <class Activation = TanhActivation>
struct GruResetBeforeCell {
  enum Gate : std::size_t { reset, update, candidate, gates };
  static constexpr std::size_t input_gates = 3;
  static constexpr std::size_t recurrent_gates = 2;
  static constexpr bool late_candidate = true;

  template <Scalar S, Index Hidden>
  using State = HiddenState<S, Hidden>;
  static constexpr std::size_t states = 1;

  /// What the candidate's recurrent weights multiply.
  template <class Math, class V>
  static V late_input(const std::array<V, gates>& a, const std::array<V, states>& state) noexcept {
    return sigmoid<Math>(a[reset]) * state[0];
  }

  template <class Math, class V>
  static void advance(const std::array<V, gates>& a, std::array<V, states>& state) noexcept {
    auto& [h] = state;
    const V n = Activation::template apply<Math>(a[candidate]);
    h = fma(sigmoid<Math>(a[update]), h - n, n);
  }

  /// The reset gate's cotangent follows in late_pull_back.
  template <class V>
  static void pull_back(const std::array<V, gates>& a, const std::array<V, states>& before, std::array<V, gates>& da,
                        std::array<V, states>& dstate) noexcept {
    const V z = sigmoid(a[update]), n = Activation::apply(a[candidate]), one(1);
    auto& [dh] = dstate;
    da[candidate] = dh * (one - z) * Activation::slope(n);
    da[update] = dh * (before[0] - n) * z * (one - z);
    da[reset] = V(0);
    dh = dh * z;
  }

  /// Adds what comes back through late_input, whose cotangent is dq.
  template <class V>
  static void late_pull_back(const std::array<V, gates>& a, const std::array<V, states>& before, V dq,
                             std::array<V, gates>& da, std::array<V, states>& dstate) noexcept {
    const V r = sigmoid(a[reset]);
    da[reset] = dq * before[0] * r * (V(1) - r);
    dstate[0] = fma(dq, r, dstate[0]);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
