#pragma once

#include <stepscan/layers/retention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct LightningName {
  static constexpr const char* name = "LightningAttentionScan";
  static constexpr bool unit_scale = true;
  static constexpr NormalStart projection_start{0.02};
  static std::vector<double> schedule(Index heads) { return tnl_schedule(heads, 0, 1); }
};

}  // namespace detail

/// Lightning Attention-2 (arXiv 2401.04658, algorithm 1): retention of scale 1, decays by tnl_schedule of the layer's
/// place in its model.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using LightningAttentionScan = FixedDecayScan<detail::LightningName, S, Heads, KeyDim, ValueDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
