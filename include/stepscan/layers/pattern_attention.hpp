#pragma once

#include <stepscan/layers/attention_layer.hpp>
#include <stepscan/ops/key_lists.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Causal softmax attention to the keys that a pattern shows (ops/key_pattern.hpp, ops/key_lists.hpp):
///   y_t = sum_j p_tj v_j,   p_t = softmax of scale q_t.k_j over the kept tokens j <= t that the pattern lets token t
///   see
/// and 0 where it sees none. The pattern counts tokens from the start of the sequence, whatever part of it a call
/// brings; it may differ from head to head, and those of lists and layouts stay the caller's.
///   PatternAttentionScan<float, 8, 8, 64, 64, And<Window<256>, Dilation>> layer(sizes, pattern, capacity);
/// x = [q | k | v], heads and cache as AttentionLayer says: what falls out of the cache is no longer seen. capacity_for
/// (ops/kept_tokens.hpp) gives the smallest one that loses nothing, which a pattern of sinks S and a window W needs
/// not: capacity S + W with S sinks keeps all it sees.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, KeyPattern Pattern,
          class Default = Chunked<>, StoredFor<S> Stored = S>
class PatternAttentionScan
    : public AttentionLayer<PatternAttentionScan<S, Heads, KvHeads, KeyDim, ValueDim, Pattern, Default, Stored>, S,
                            Heads, KvHeads, KeyDim, ValueDim, Default, Stored> {
 public:
  static constexpr const char* name = "PatternAttentionScan";

  Pattern key_pattern;

  PatternAttentionScan() = default;
  PatternAttentionScan(const AttentionSizes& n, const Pattern& shown, Index capacity, Index sinks = 0)
      : PatternAttentionScan::AttentionLayer(n, capacity, sinks), key_pattern(shown) {}

  [[nodiscard]] static SoftmaxWeights<S> fold() noexcept { return {}; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
