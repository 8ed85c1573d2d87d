#pragma once

#include <stepscan/layers/decay_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Gated linear attention (arXiv 2312.06635, equation 3): forgetting per key channel that depends on the data,
///   S_t = diag(exp(g_t)) S_(t-1) + k_t v_t^T,   y_t = scale q_t^T S_t
/// x = [q | k | v | g], g [Heads * KeyDim] log decays <= 0; state S [batch, Heads, KeyDim, ValueDim].
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class GatedLinearAttentionScan
    : public DecayLayer<GatedLinearAttentionScan<S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                        detail::HeadGates::per_channel, MatrixState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = "GatedLinearAttentionScan";
  using Attention = DecayAttention<S, ChannelDecay<S>>;

  GatedLinearAttentionScan() = default;
  GatedLinearAttentionScan(Index heads, Index key_dim, Index value_dim)
      : GatedLinearAttentionScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    return this->template on_parts<Attention>(x, ChannelDecay<S>{this->key_dim(), this->gates(x), this->gates(dx)});
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
