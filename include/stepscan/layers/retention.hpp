#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/decay_schedules.hpp>
#include <stepscan/layers/projection_start.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Linear attention with one fixed decay per head:
///   S_t = exp(log_decay_h) S_(t-1) + k_t v_t^T,   y_t = scale q_t^T S_t
/// x = [q | k | v]; state S [batch, Heads, KeyDim, ValueDim]. Used by its names: RetentionScan, LightningAttentionScan.
template <class Named, Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class FixedDecayScan
    : public DecayLayer<FixedDecayScan<Named, S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                        detail::HeadGates::none, MatrixState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = Named::name;
  static constexpr auto projection_start = Named::projection_start;
  using Attention = DecayAttention<S, HeadDecay<S>>;

  Tensor<S, Heads> log_decay;  ///< <= 0; fixed, not a parameter

  FixedDecayScan()
      : FixedDecayScan(std::max<Index>(Heads, 0), std::max<Index>(KeyDim, 0), std::max<Index>(ValueDim, 0)) {}
  /// With the layer's usual schedule.
  FixedDecayScan(Index heads, Index key_dim, Index value_dim)
      : FixedDecayScan(heads, key_dim, value_dim, Named::schedule(heads)) {}
  /// With one log decay per head. Throws ShapeError when there are fewer or more.
  FixedDecayScan(Index heads, Index key_dim, Index value_dim, const std::vector<double>& schedule)
      : FixedDecayScan::DecayLayer(heads, key_dim, value_dim), log_decay(heads) {
    if (static_cast<Index>(schedule.size()) != heads) {
      fail<ShapeError>(std::string(name) + ": expected " + std::to_string(heads) + " log decays, one per head, found " +
                       std::to_string(schedule.size()));
    }
    std::transform(schedule.begin(), schedule.end(), log_decay.begin(), [](double g) { return static_cast<S>(g); });
    if (Named::unit_scale) this->scale = 1;
  }

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& = {}) const noexcept {
    return this->template on_parts<Attention>(x, HeadDecay<S>{{}, log_decay.data()});
  }
};

namespace detail {

struct RetentionName {
  static constexpr const char* name = "RetentionScan";
  static constexpr bool unit_scale = false;
  static constexpr XavierStart projection_start{small_gain, 1};
  static std::vector<double> schedule(Index heads) { return retnet_schedule(heads); }
};

}  // namespace detail

/// Retention (RetNet, arXiv 2307.08621, equation 5), decays by retnet_schedule unless others are given.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using RetentionScan = FixedDecayScan<detail::RetentionName, S, Heads, KeyDim, ValueDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
