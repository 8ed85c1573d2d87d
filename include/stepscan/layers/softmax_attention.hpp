#pragma once

#include <stepscan/layers/attention_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Causal softmax attention ("Attention is all you need", arXiv 1706.03762, equation 1), a cache of keys and values
/// being its state:
///   y_t = sum_j p_tj v_j,   p_t = softmax over the tokens j that are kept of scale q_t.k_j
/// x = [q | k | v], heads and cache as AttentionLayer says; Heads = KvHeads is multi-head, KvHeads = 1 multi-query
/// attention. Nothing of the size of time x time exists: a scan folds tiles of keys into blocks of queries (online
/// softmax, FlashAttention, arXiv 2205.14135), and the backward pass works the weights out once more.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, class Default = Chunked<>,
          StoredFor<S> Stored = S>
class SoftmaxAttentionScan
    : public AttentionLayer<SoftmaxAttentionScan<S, Heads, KvHeads, KeyDim, ValueDim, Default, Stored>, S, Heads,
                            KvHeads, KeyDim, ValueDim, Default, Stored> {
 public:
  static constexpr const char* name = "SoftmaxAttentionScan";

  SoftmaxAttentionScan() = default;
  SoftmaxAttentionScan(const AttentionSizes& n, Index capacity, Index sinks = 0)
      : SoftmaxAttentionScan::AttentionLayer(n, capacity, sinks) {}

  [[nodiscard]] static SoftmaxWeights<S> fold() noexcept { return {}; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
