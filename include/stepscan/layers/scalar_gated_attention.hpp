#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/projection_start.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Linear attention with one data-dependent decay per head, the core of Mamba-2 (arXiv 2405.21060, section 5):
///   S_t = exp(g_t) S_(t-1) + k_t v_t^T,   y_t = scale q_t^T S_t
/// x = [q | k | v | g], g [Heads] log decays <= 0; state S [batch, Heads, KeyDim, ValueDim].
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class ScalarGatedAttentionScan
    : public DecayLayer<ScalarGatedAttentionScan<S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                        detail::HeadGates::one, MatrixState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = "ScalarGatedAttentionScan";
  static constexpr detail::XavierStart projection_start{detail::small_gain, detail::small_gain};
  using Attention = DecayAttention<S, TokenDecay<S>>;

  ScalarGatedAttentionScan() = default;
  ScalarGatedAttentionScan(Index heads, Index key_dim, Index value_dim)
      : ScalarGatedAttentionScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    return this->template on_parts<Attention>(x, TokenDecay<S>{{}, this->gates(x), this->gates(dx)});
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
