#pragma once

#include <array>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math.hpp>

/// The gates of the minimal GRU ("Were RNNs all we needed?", arXiv 2410.01201), and what it shares with the minimal
/// LSTM. A cell makes, from the pre-activations of one token, the map h -> decay h + input of every unit.
namespace stepscan::inline STEPSCAN_ISA {

/// What one token does to a unit's state: h' = decay h + input, with decay in [0, 1].
template <class V>
struct AffineStep {
  V decay;
  V input;
};

/// The two sides of a gate, each accurate where it is small.
template <class V>
struct GatePair {
  V open;    ///< 1 / (1 + e^-x)
  V closed;  ///< 1 / (1 + e^x) = 1 - open
};

template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline GatePair<V> gate_pair(V x) noexcept {
  const V e = exp<Math>(x | V(typename V::value_type(-0.0)));
  const V larger = V(1) / (V(1) + e), smaller = e * larger;
  const auto negative = x < V(0);
  return {select(negative, smaller, larger), select(negative, larger, smaller)};
}

/// The candidate as it is: the direct form of the paper's section 3.
struct IdentityCandidate {
  template <class Math, class V>
  static V apply(V v) noexcept {
    return v;
  }
  template <class V>
  static V slope(V) noexcept {
    return V(1);
  }
};

/// g(v) = v + 1/2 for v >= 0 and s(v) below, always positive: the candidate of the paper's log-space form. Its slope
/// jumps from 1/4 to 1 at 0.
struct PositiveCandidate {
  template <class Math, class V>
  static V apply(V v) noexcept {
    return select(v < V(0), sigmoid<Math>(v), v + V(typename V::value_type(0.5)));
  }
  template <class V>
  static V slope(V v) noexcept {
    const GatePair<V> s = gate_pair<Exact>(v);
    return select(v < V(0), s.open * s.closed, V(1));
  }
};

/// Minimal GRU: h' = (1 - z) h + z cand(v), z = s(a_z), from the pre-activations v, a_z.
template <class Candidate>
struct MinGruCell {
  enum Gate : std::size_t { candidate, update, gates };

  template <class Math, class V>
  static AffineStep<V> step(const std::array<V, gates>& a) noexcept {
    const GatePair<V> z = gate_pair<Math>(a[update]);
    return {z.closed, z.open * Candidate::template apply<Math>(a[candidate])};
  }

  template <class V>
  static V decay(const std::array<V, gates>& a) noexcept {
    return gate_pair<Exact>(a[update]).closed;
  }

  /// From the cotangents of decay and input to those of the pre-activations.
  template <class V>
  static void pull_back(const std::array<V, gates>& a, const AffineStep<V>& d, std::array<V, gates>& da) noexcept {
    const GatePair<V> z = gate_pair<Exact>(a[update]);
    const V value = Candidate::template apply<Exact>(a[candidate]);
    da[candidate] = d.input * z.open * Candidate::slope(a[candidate]);
    da[update] = fma(d.input, value, V(0) - d.decay) * (z.open * z.closed);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
