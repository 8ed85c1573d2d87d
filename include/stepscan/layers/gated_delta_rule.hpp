#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/projection_start.hpp>
#include <stepscan/ops/delta_rule.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gated delta rule (Gated DeltaNet, arXiv 2412.06464, equation 10): decay first, then correct,
///   S' = exp(g_t) S_(t-1),   S_t = S' + beta_t k_t (v_t - S'^T k_t)^T,   y_t = scale q_t^T S_t
/// x = [q | k | v | beta | g], beta [Heads] in (0, 1), or up to 2, and g [Heads] log decays <= 0; state S [batch,
/// Heads, KeyDim, ValueDim]. Queries and keys are divided by sqrt(|x|^2 + 1e-6) unless `unit_length` is false: where
/// they arrive so.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class GatedDeltaRuleScan
    : public DecayLayer<GatedDeltaRuleScan<S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                        detail::HeadGates::two, MatrixState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = "GatedDeltaRuleScan";
  static constexpr detail::XavierStart projection_start{detail::small_gain, detail::small_gain};
  using Attention = DeltaAttention<S, TokenDecay<S>>;

  bool unit_length = true;

  GatedDeltaRuleScan() = default;
  GatedDeltaRuleScan(Index heads, Index key_dim, Index value_dim)
      : GatedDeltaRuleScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    using Plain = typename Attention::Base;
    return {this->template on_parts<Plain>(x, TokenDecay<S>{{}, this->gates(x, 1), this->gates(dx, 1)}), this->gates(x),
            this->gates(dx), unit_length};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
