#pragma once

#include <algorithm>
#include <cmath>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/scan/executors.hpp>

/// What tells linear attention, retention, SSD, GLA and mLSTM apart: how much of the state a token keeps,
///   S_t = a_t S_(t-1) + b_t k_t v_t^T
/// with a_t one, fixed per head, a number per token, or a number per token and key channel, and b_t other than one for
/// SSD and mLSTM alone. Decays arrive as logarithms <= 0 and are used as a = exp(g) in (0, 1]: products of them may
/// underflow to 0, which is right, and nothing overflows.
///
/// A policy's `weigh` writes the weights of a run of tokens of one head; its `pull_back` takes the cotangents of log a
/// and log b to those of its gates.
namespace stepscan::inline STEPSCAN_ISA {

/// Weights of a run of tokens of one head, in memory of the caller.
template <Scalar S>
struct DecayWeights {
  S* decay = nullptr;  ///< a [tokens], or [tokens, key_dim] per channel
  Index stride = 1;    ///< from one token's decays to the next one's
  S* input = nullptr;  ///< b [tokens], of weighted policies
  /// Of stabilised policies, [tokens] each: log b, the maximum m behind each token, and the logarithm of the decay
  /// before stabilisation.
  S* log_input = nullptr;
  S* maximum = nullptr;
  S* log_decay = nullptr;
};

/// Cotangents of log a and log b, shaped as the weights.
template <Scalar S>
struct DecayCotangents {
  S* decay = nullptr;
  S* input = nullptr;
};

namespace detail {

/// exp(g) for g <= 0; 0 where it would be below the normal numbers.
template <SimdRegister V>
[[gnu::always_inline]] inline V decay_of(V g) noexcept {
  using C = ExpConstants<typename V::value_type>;
  return exp_flushed(clamp(g, C::lowest_flushed, C::highest));
}

}  // namespace detail

/// What a policy need not say whose decays are one number per token and whose b is 1.
struct ScalarPolicy {
  static constexpr bool per_channel = false;
  static constexpr bool weighted = false;
  static constexpr bool stabilised = false;
};

/// Nothing is forgotten: linear attention.
template <Scalar S>
struct NoDecay : ScalarPolicy {
  void weigh(Index, Index, TokenRange tokens, S, const DecayWeights<S>& to) const noexcept {
    std::fill_n(to.decay, tokens.size(), S{1});
  }
  void pull_back(Index, Index, TokenRange, const DecayCotangents<S>&) const noexcept {}
};

/// One fixed decay per head: retention, Lightning attention.
template <Scalar S>
struct HeadDecay : ScalarPolicy {
  const S* log_decay = nullptr;  ///< [heads]

  void weigh(Index, Index head, TokenRange tokens, S, const DecayWeights<S>& to) const noexcept {
    std::fill_n(to.decay, tokens.size(), std::exp(log_decay[head]));
  }
  void pull_back(Index, Index, TokenRange, const DecayCotangents<S>&) const noexcept {}
};

/// One decay per token and head: scalar gated attention, Mamba-2.
template <Scalar S>
struct TokenDecay : ScalarPolicy {
  SequenceView<const S> log_decay;  ///< [batch, time, heads]
  SequenceView<S> dlog_decay;       ///< of a backward pass

  void weigh(Index b, Index head, TokenRange tokens, S, const DecayWeights<S>& to) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) to.decay[t] = log_decay.token(b, tokens.begin + t)[head];
    transform(to.decay, to.decay, tokens.size(), [](Simd<S> g) { return detail::decay_of(g); });
  }
  void pull_back(Index b, Index head, TokenRange tokens, const DecayCotangents<S>& from) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) dlog_decay.token(b, tokens.begin + t)[head] = from.decay[t];
  }
};

/// One decay and one weight b of the input per token and head, as Mamba-2's steps give them: the decays as logarithms,
/// the cotangent of b as that of its logarithm.
template <Scalar S>
struct WeightedDecay : ScalarPolicy {
  static constexpr bool weighted = true;

  SequenceView<const S> log_decay;  ///< [batch, time, heads]
  SequenceView<const S> weight;     ///< [batch, time, heads], >= 0
  SequenceView<S> dlog_decay;       ///< of a backward pass
  SequenceView<S> dlog_weight;

  void weigh(Index b, Index head, TokenRange tokens, S, const DecayWeights<S>& to) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      to.decay[t] = log_decay.token(b, tokens.begin + t)[head];
      to.input[t] = weight.token(b, tokens.begin + t)[head];
    }
    transform(to.decay, to.decay, tokens.size(), [](Simd<S> g) { return detail::decay_of(g); });
  }
  void pull_back(Index b, Index head, TokenRange tokens, const DecayCotangents<S>& from) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      dlog_decay.token(b, tokens.begin + t)[head] = from.decay[t];
      dlog_weight.token(b, tokens.begin + t)[head] = from.input[t];
    }
  }
};

/// One decay per token, head and key channel: gated linear attention.
template <Scalar S>
struct ChannelDecay {
  static constexpr bool per_channel = true;
  static constexpr bool weighted = false;
  static constexpr bool stabilised = false;

  Index key_dim = 0;
  SequenceView<const S> log_decay;  ///< [batch, time, heads / shared * key_dim]
  SequenceView<S> dlog_decay;       ///< [batch, time, heads * key_dim], of a backward pass
  Index shared = 1;                 ///< so many heads in a row share their decays

  [[nodiscard]] MatrixView<const S> rows(Index b, Index head, TokenRange tokens) const noexcept {
    return {log_decay.token(b, tokens.begin) + head / shared * key_dim, tokens.size(), key_dim, log_decay.time_stride};
  }
  void weigh(Index b, Index head, TokenRange tokens, S, const DecayWeights<S>& to) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      transform(to.decay + t * to.stride, log_decay.token(b, tokens.begin + t) + head / shared * key_dim, key_dim,
                [](Simd<S> g) { return detail::decay_of(g); });
    }
  }
  void pull_back(Index b, Index head, TokenRange tokens, const DecayCotangents<S>& from) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      std::copy_n(from.decay + t * key_dim, key_dim, dlog_decay.token(b, tokens.begin + t) + head * key_dim);
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
