#pragma once

#include <stepscan/layers/attention_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Causal attention by similarities that do not compete ("When Attention Sink Emerges", arXiv 2410.10781, section 5):
///   a_tj = sigmoid(s_tj + bias), or elu(s_tj) + 1,   s_tj = scale q_t.k_j
///   y_t = sum_j a_tj v_j, or, normalised, that divided by (sum_j a_tj + eps)
/// x = [q | k | v], heads and cache as AttentionLayer says. A bias of -log(tokens) keeps the sums near 1.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, Similarity Kind = Similarity::sigmoid,
          bool Normalised = false, class Default = Chunked<>, StoredFor<S> Stored = S>
class SigmoidAttentionScan
    : public AttentionLayer<
          SigmoidAttentionScan<S, Heads, KvHeads, KeyDim, ValueDim, Kind, Normalised, Default, Stored>, S, Heads,
          KvHeads, KeyDim, ValueDim, Default, Stored> {
 public:
  static constexpr const char* name = "SigmoidAttentionScan";

  S bias{0};
  S eps{static_cast<S>(1e-8)};

  SigmoidAttentionScan() = default;
  SigmoidAttentionScan(const AttentionSizes& n, Index capacity, Index sinks = 0)
      : SigmoidAttentionScan::AttentionLayer(n, capacity, sinks) {}

  [[nodiscard]] SimilarityWeights<S, Kind, Normalised> fold() const noexcept { return {bias, eps}; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
