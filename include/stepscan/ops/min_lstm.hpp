#pragma once

#include <stepscan/ops/min_gru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Minimal LSTM (arXiv 2410.01201) with free gates: h' = s(a_f) h + s(a_i) cand(v), from the pre-activations v, a_f,
/// a_i.
template <class Candidate, bool NormalizeGates>
struct MinLstmCell {
  enum Gate : std::size_t { candidate, forget, input, gates };

  template <class Math, class V>
  static AffineStep<V> step(const std::array<V, gates>& a) noexcept {
    const V value = Candidate::template apply<Math>(a[candidate]);
    return {sigmoid<Math>(a[forget]), sigmoid<Math>(a[input]) * value};
  }

  template <class V>
  static V decay(const std::array<V, gates>& a) noexcept {
    return sigmoid<Exact>(a[forget]);
  }

  template <class V>
  static void pull_back(const std::array<V, gates>& a, const AffineStep<V>& d, std::array<V, gates>& da) noexcept {
    const GatePair<V> f = gate_pair<Exact>(a[forget]), i = gate_pair<Exact>(a[input]);
    const V value = Candidate::template apply<Exact>(a[candidate]);
    da[candidate] = d.input * i.open * Candidate::slope(a[candidate]);
    da[forget] = d.decay * (f.open * f.closed);
    da[input] = d.input * value * (i.open * i.closed);
  }
};

/// With gates normalised to the sum 1: F = s(a_f), I = s(a_i),
///   h' = F / (F + I) h + I / (F + I) cand(v) = s(-d) h + s(d) cand(v)
///   d = log I - log F = softplus(-a_f) - softplus(-a_i)
/// which holds where F and I both underflow. The large parts of the difference are subtracted first.
template <class Candidate>
struct MinLstmCell<Candidate, true> {
  enum Gate : std::size_t { candidate, forget, input, gates };

  template <class Math, class V>
  static AffineStep<V> step(const std::array<V, gates>& a) noexcept {
    const GatePair<V> share = shares<Math>(a);
    return {share.closed, share.open * Candidate::template apply<Math>(a[candidate])};
  }

  template <class V>
  static V decay(const std::array<V, gates>& a) noexcept {
    return shares<Exact>(a).closed;
  }

  template <class V>
  static void pull_back(const std::array<V, gates>& a, const AffineStep<V>& d, std::array<V, gates>& da) noexcept {
    const GatePair<V> share = shares<Exact>(a);
    const V value = Candidate::template apply<Exact>(a[candidate]);
    const V dd = fma(d.input, value, V(0) - d.decay) * (share.open * share.closed);
    da[candidate] = d.input * share.open * Candidate::slope(a[candidate]);
    da[forget] = V(0) - dd * gate_pair<Exact>(a[forget]).closed;
    da[input] = dd * gate_pair<Exact>(a[input]).closed;
  }

 private:
  /// open: the share of the input; closed: the share of the state.
  template <class Math, class V>
  static GatePair<V> shares(const std::array<V, gates>& a) noexcept {
    const V zero(0), sign(typename V::value_type(-0.0));
    const V large = max(zero, zero - a[forget]) - max(zero, zero - a[input]);
    return gate_pair<Math>(large + (softplus<Math>(a[forget] | sign) - softplus<Math>(a[input] | sign)));
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
