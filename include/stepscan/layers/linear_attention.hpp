#pragma once

#include <stepscan/layers/decay_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Linear attention ("Transformers are RNNs", arXiv 2006.16236, equations 16 to 20), which forgets nothing:
///   S_t = S_(t-1) + phi(k_t) v_t^T,  z_t = z_(t-1) + phi(k_t),  q' = scale phi(q_t)
///   y_t = q'^T S_t, or, normalised, q'^T S_t / (q'.z_t + normalizer_eps)
/// x = [q | k | v]; state S [batch, Heads, KeyDim, ValueDim] and, normalised, z [batch, Heads, KeyDim]. Normalise only
/// with a positive map: EluPlusOne, not IdentityMap.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Map = EluPlusOne, bool Normalised = true,
          class Default = Chunked<>>
class LinearAttentionScan
    : public DecayLayer<LinearAttentionScan<S, Heads, KeyDim, ValueDim, Map, Normalised, Default>, S, Heads, KeyDim,
                        ValueDim, detail::HeadGates::none,
                        std::conditional_t<Normalised, NormalisedState<S, Heads, KeyDim, ValueDim>,
                                           MatrixState<S, Heads, KeyDim, ValueDim>>,
                        Default> {
 public:
  static constexpr const char* name = "LinearAttentionScan";
  using Attention = DecayAttention<S, NoDecay<S>, std::conditional_t<Normalised, SumRead, PlainRead>, Map>;

  S normalizer_eps = static_cast<S>(1e-10);

  LinearAttentionScan() = default;
  LinearAttentionScan(Index heads, Index key_dim, Index value_dim)
      : LinearAttentionScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& = {}) const noexcept {
    return this->template on_parts<Attention>(x, NoDecay<S>{}, normalizer_eps);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
