#pragma once

#include <stepscan/layers/attention_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Causal softmax attention with linear biases (ALiBi, "Train Short, Test Long", arXiv 2108.12409, section 3):
///   y_t = sum_j p_tj v_j,   p_t = softmax over the tokens j that are kept of scale q_t.k_j - slope_h (t - j)
/// x = [q | k | v], heads and cache as AttentionLayer says. The slopes are no parameters. t and j count all tokens that
/// came in, whether they are kept or not.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, class Default = Chunked<>,
          StoredFor<S> Stored = S>
class AlibiAttentionScan
    : public AttentionLayer<AlibiAttentionScan<S, Heads, KvHeads, KeyDim, ValueDim, Default, Stored>, S, Heads, KvHeads,
                            KeyDim, ValueDim, Default, Stored> {
 public:
  static constexpr const char* name = "AlibiAttentionScan";

  Tensor<S, Heads> slopes;  ///< the published ones unless set

  AlibiAttentionScan() = default;
  AlibiAttentionScan(const AttentionSizes& n, Index capacity, Index sinks = 0)
      : AlibiAttentionScan::AttentionLayer(n, capacity, sinks), slopes(n.heads) {
    for (Index h = 0; h < n.heads; ++h) slopes[h] = static_cast<S>(alibi_slope(h, n.heads));
  }

  [[nodiscard]] static SoftmaxWeights<S> fold() noexcept { return {}; }
  [[nodiscard]] const S* attention_slopes() const noexcept { return slopes.data(); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
