#pragma once

#include <stepscan/layers/attention_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a BiasedAttentionScan has beside the keys of its tokens.
enum class AttentionBias {
  key,         ///< a further key k_bias, whose value is 0
  key_value,   ///< the same with the value v_bias
  sink_logit,  ///< a further logit, not scaled, whose value is 0
  value,       ///< v_bias is added to y
};

/// Causal softmax attention with a learned sink ("When Attention Sink Emerges", arXiv 2410.10781, section 4; gpt-oss):
/// every query starts from one more key, which never enters the cache and counts once however a sequence is split.
/// Parameters k_bias [Heads, KeyDim], v_bias [Heads, ValueDim], or sink_logit [Heads], as the kind says; with PerHead
/// false one k_bias [1, KeyDim] and v_bias [1, ValueDim] for all heads. x = [q | k | v], heads and cache as
/// AttentionLayer says.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, AttentionBias Kind, bool PerHead = true,
          class Default = Chunked<>, StoredFor<S> Stored = S>
class BiasedAttentionScan
    : public AttentionLayer<BiasedAttentionScan<S, Heads, KvHeads, KeyDim, ValueDim, Kind, PerHead, Default, Stored>, S,
                            Heads, KvHeads, KeyDim, ValueDim, Default, Stored> {
  static constexpr Index Biases = PerHead ? Heads : 1;
  static constexpr bool has_key = Kind == AttentionBias::key || Kind == AttentionBias::key_value;
  static constexpr bool has_value = Kind == AttentionBias::value || Kind == AttentionBias::key_value;

 public:
  static constexpr const char* name = "BiasedAttentionScan";

  Tensor<S, Biases, KeyDim> k_bias;  ///< those that the kind has not are empty or zero, and no parameters
  Tensor<S, Biases, ValueDim> v_bias;
  Tensor<S, Heads> sink_logit;

  static constexpr auto fields() {
    using L = BiasedAttentionScan;
    const auto key = [] {
      if constexpr (has_key) {
        return std::tuple{Field{"k_bias", &L::k_bias}};
      } else {
        return std::tuple<>{};
      }
    }();
    const auto value = [] {
      if constexpr (has_value) {
        return std::tuple{Field{"v_bias", &L::v_bias}};
      } else {
        return std::tuple<>{};
      }
    }();
    if constexpr (Kind == AttentionBias::sink_logit) {
      return std::tuple{Field{"sink_logit", &L::sink_logit}};
    } else {
      return std::tuple_cat(key, value);
    }
  }

  BiasedAttentionScan() = default;
  BiasedAttentionScan(const AttentionSizes& n, Index capacity, Index sinks = 0)
      : BiasedAttentionScan::AttentionLayer(n, capacity, sinks),
        k_bias(PerHead ? n.heads : 1, n.key_dim),
        v_bias(PerHead ? n.heads : 1, n.value_dim),
        sink_logit(n.heads) {}

  /// Normal with a deviation of 0.02.
  void initialize(Random& random) {
    for_each_tensor(
        [&](const Path&, auto& tensor) {
          for (S& value : tensor) value = static_cast<S>(0.02 * random.normal());
        },
        *this);
  }

  [[nodiscard]] static SoftmaxWeights<S> fold() noexcept { return {}; }
  [[nodiscard]] AttentionStart<S> attention_start() const noexcept {
    AttentionStart<S> start;
    if (Kind == AttentionBias::sink_logit) start.logits = sink_logit.data();
    if (has_key) start.key = k_bias.data();
    if (Kind == AttentionBias::key_value) start.value = v_bias.data();
    if (Kind == AttentionBias::value) start.added = v_bias.data();
    start.shared = !PerHead;
    return start;
  }
  /// The places of the parameters' gradients, in a layer that holds them.
  [[nodiscard]] AttentionStartCotangents<S> start_cotangents() noexcept {
    AttentionStartCotangents<S> d;
    if (Kind == AttentionBias::sink_logit) d.logits = sink_logit.data();
    if (has_key) d.key = k_bias.data();
    if (Kind == AttentionBias::key_value) d.value = v_bias.data();
    if (Kind == AttentionBias::value) d.added = v_bias.data();
    return d;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
