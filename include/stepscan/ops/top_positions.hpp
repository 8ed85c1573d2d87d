#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <stepscan/core/scalar.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// The positions of the `count` largest scores, the earlier of equals, in ascending order; all where there are fewer.
template <Scalar S>
[[nodiscard]] std::vector<Index> top_positions(std::span<const S> scores, Index count) {
  std::vector<Index> order(scores.size());
  std::iota(order.begin(), order.end(), Index{0});
  const auto kept = std::min(static_cast<Index>(order.size()), count);
  const auto score = [&](Index i) { return scores[static_cast<std::size_t>(i)]; };
  std::partial_sort(order.begin(), order.begin() + kept, order.end(),
                    [&](Index a, Index b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
  order.resize(static_cast<std::size_t>(kept));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace stepscan::inline STEPSCAN_ISA
