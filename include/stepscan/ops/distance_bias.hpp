#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <stepscan/core/extent.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/scan/executors.hpp>

/// Positions as biases of the logits (ALiBi, "Train Short, Test Long", arXiv 2108.12409, section 3): the logit of query
/// i of head h and key j gets -slope_h |i - j|. Each tile of logits gets its own, so no matrix of them exists.
namespace stepscan::inline STEPSCAN_ISA {

/// The published slope of one of so many heads: 2^(-8 (h + 1) / heads) where heads is a power of two; otherwise those
/// of the largest power of two below, and then every second one of the power above.
[[nodiscard]] inline double alibi_slope(Index head, Index heads) noexcept {
  const auto power = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(heads)));
  const double exponent =
      head < power ? 8 * static_cast<double>(head + 1) : 4 * static_cast<double>(2 * (head - power) + 1);
  return std::exp2(-exponent / static_cast<double>(power));
}

/// Keys that lie one behind the other, from where the run before them ends: key j lies query - j tokens before the
/// query.
struct KeyRun {
  Index end = 0;
  Index query = 0;
};
using KeyRuns = std::array<KeyRun, 3>;

/// What the logits of an attention get by distance, and how far keys are away.
template <Scalar S>
struct DistanceBias {
  const S* slopes = nullptr;    ///< [heads]; null: no bias
  Index sinks = 0;              ///< keys before this one ...
  const Index* gaps = nullptr;  ///< ... lie gaps[batch] tokens further away than they are counted; null: none
  KeyRuns runs{};               ///< of the one query of a step, in place of these

  /// Of a query that is counted as number `query`.
  [[nodiscard]] KeyRuns runs_from(Index b, Index query) const noexcept {
    constexpr Index all = std::numeric_limits<Index>::max();
    return {{{sinks, query + (gaps == nullptr ? 0 : gaps[b])}, {all, query}, {all, query}}};
  }
};

/// Adds -slope times their distance to the logits of some keys.
template <Scalar S>
void add_distance_bias(S slope, const KeyRuns& runs, TokenRange keys, S* logits) noexcept {
  Index begin = keys.begin;
  for (const KeyRun& run : runs) {
    const Index end = std::min(run.end, keys.end);
    if (begin >= end) continue;
    S* const row = logits + (begin - keys.begin);
    const Simd<S> factor(-slope), numbers = load(lane_numbers<S>.data());
    for_each_lanes<S>(end - begin, [&](Index i, auto lanes) {
      const Simd<S> distance = abs(Simd<S>(static_cast<S>(begin + i - run.query)) + numbers);
      lanes.store(row + i, fma(factor, distance, lanes.load(row + i)));
    });
    begin = end;
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
