#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA {

/// The normaliser of an sLSTM: as published (xLSTM), or never below one (FlashRNN).
enum class NormalizerFloor { zero, one };

/// The pointwise part of an sLSTM (xLSTM, arXiv 2405.04517, section 2.2): an LSTM with an exponential input gate, a
/// normaliser n, and a stabiliser m that keeps every exponent at or below zero. With pre-activations in the order of
/// i, f, z, o,
///   m' = max(a_i, log s(a_f) + m)    (a_i where n = 0)
///   c' = e^{log s(a_f) + m - m'} c + e^{a_i - m'} tanh(a_z),   n' likewise with 1 for tanh(a_z)
///   h' = s(a_o) c' / n'
/// With NormalizerFloor::one, n' is at least 1 (FlashRNN, arXiv 2412.07752).
template <NormalizerFloor Floor = NormalizerFloor::zero>
struct SlstmCell {
  enum Gate : std::size_t { input, forget, candidate, output, gates };
  static constexpr std::size_t input_gates = 4;
  static constexpr std::size_t recurrent_gates = 4;
  static constexpr bool late_candidate = false;

  /// h, c, n, m, each [batch, heads * head_dim].
  template <Scalar S, Index Hidden>
  struct State {
    Tensor<S, Dynamic, Hidden> h, c, n, m;
    static constexpr auto fields() {
      return std::tuple{Field{"h", &State::h}, Field{"c", &State::c}, Field{"n", &State::n}, Field{"m", &State::m}};
    }
  };
  static constexpr std::size_t states = 4;

  /// The bias that a gate of unit `place` of its head starts with, place from 0 to 1: 5 to -7 in the forget gates, so
  /// that the units of a head remember for times of every length, else 0. Depth as in the authors' reference code,
  /// from 0 for the first block of a stack to 1 for the last.
  [[nodiscard]] static double initial_bias(std::size_t gate, double place, double depth) noexcept {
    return gate == forget ? 5 - 12 * std::pow(place, 0.3 + 1.3 * depth) : 0;
  }

  template <class Math, class V>
  static void advance(const std::array<V, gates>& a, std::array<V, states>& state) noexcept {
    auto& [h, c, n, m] = state;
    const Gates<V> g = stabilised<Math>(a, n, m);
    c = fma(g.forget, c, g.input * tanh<Math>(a[candidate]));
    n = floored(fma(g.forget, n, g.input));
    m = g.m;
    h = sigmoid<Math>(a[output]) * c / n;
  }

  /// The exact gradient, through h, c, n and m; the authors' kernels take m for a constant.
  template <class V>
  static void pull_back(const std::array<V, gates>& a, const std::array<V, states>& before, std::array<V, gates>& da,
                        std::array<V, states>& dstate) noexcept {
    const V zero(0), one(1);
    const V c = before[1], n = before[2], m = before[3];
    const Gates<V> g = stabilised<Exact>(a, n, m);
    const V z = tanh(a[candidate]), o = sigmoid(a[output]);
    const V free_n = fma(g.forget, n, g.input), new_n = floored(free_n);
    const V ratio = fma(g.forget, c, g.input * z) / new_n;
    auto& [dh, dc, dn, dm] = dstate;
    da[output] = dh * ratio * o * (one - o);
    dc = dc + dh * o / new_n;
    dn = dn - dh * o * ratio / new_n;
    if constexpr (Floor == NormalizerFloor::one) dn = select(free_n < one, zero, dn);
    const V d_input = fma(dc, z, dn) * g.input;
    const V d_forget = select(g.clamped, zero, fma(dc, c, dn * n) * g.forget);
    const V d_max = dm - d_input - d_forget;
    da[input] = d_input + select(g.input_leads, d_max, zero);
    const V d_log_forget = d_forget + select(g.input_leads, zero, d_max);
    da[candidate] = dc * g.input * (one - z * z);
    da[forget] = d_log_forget * sigmoid(-a[forget]);
    dc = dc * g.forget;
    dn = dn * g.forget;
    dm = d_log_forget;
    dh = zero;
  }

 private:
  template <class V>
  using Mask = decltype(V() == V());

  template <class V>
  struct Gates {
    V input, forget, m;
    Mask<V> clamped;      ///< the forget gate is held at its bound, which only a state of n = 0 reaches
    Mask<V> input_leads;  ///< the new maximum is that of the input gate
  };

  template <class Math, class V>
  static Gates<V> stabilised(const std::array<V, gates>& a, V n, V m) noexcept {
    const V carried = logsigmoid<Math>(a[forget]) + m;
    const auto starts = n == V(0);
    const auto input_leads = starts || a[input] >= carried;
    const V new_m = select(input_leads, a[input], carried);
    const V input_gate = select(input_leads, V(1), exp<Math>(a[input] - new_m));
    const V exponent = carried - new_m, bound = largest_exponent<V>();
    const auto clamped = exponent > bound;
    const V forget_gate = exp<Math>(select(clamped, bound, exponent));
    return {input_gate, forget_gate, new_m, clamped, input_leads};
  }

  /// Where n = 0, a_i may lie below log s(a_f) + m. The xLSTM authors bound the forget gate by 1 there; FlashRNN does
  /// not, so that it is infinite for a_i far below zero: bounded by a large number instead, times c = n = 0 it is still
  /// 0.
  template <class V>
  static V largest_exponent() noexcept {
    if constexpr (Floor == NormalizerFloor::zero) return V(0);
    return V(std::is_same_v<typename V::value_type, float> ? 80 : 700);
  }

  template <class V>
  static V floored(V n) noexcept {
    if constexpr (Floor == NormalizerFloor::one) return select(n < V(1), V(1), n);
    return n;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
