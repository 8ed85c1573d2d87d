#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/projection_start.hpp>
#include <stepscan/ops/delta_rule.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The delta rule (DeltaNet, arXiv 2406.06484, equation 4): a token corrects what the state answers to its key,
///   S_t = S_(t-1) + beta_t k_t (v_t - S_(t-1)^T k_t)^T,   y_t = scale q_t^T S_t
/// x = [q | k | v | beta], beta [Heads] in (0, 1), or up to 2 for negative eigenvalues; state S [batch, Heads, KeyDim,
/// ValueDim]. Queries and keys are divided by sqrt(|x|^2 + 1e-6) unless `unit_length` is false: where they arrive so.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class DeltaRuleScan : public DecayLayer<DeltaRuleScan<S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                                        detail::HeadGates::one, MatrixState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = "DeltaRuleScan";
  static constexpr detail::XavierStart projection_start{detail::small_gain, detail::small_gain};
  using Attention = DeltaAttention<S, NoDecay<S>>;

  bool unit_length = true;

  DeltaRuleScan() = default;
  DeltaRuleScan(Index heads, Index key_dim, Index value_dim) : DeltaRuleScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    using Plain = typename Attention::Base;
    return {this->template on_parts<Plain>(x, NoDecay<S>{}), this->gates(x), this->gates(dx), unit_length};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
