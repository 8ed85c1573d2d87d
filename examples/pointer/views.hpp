#pragma once

#include <map>

#include "evaluation.hpp"
#include "solver.hpp"

/// A network is asked about the same points several times: turned and mirrored, and in other orders. The true answer is
/// the same each time, the network's errors are not.
namespace examples {

namespace detail {

/// One of the eight symmetries of the unit square: x mirrored, y mirrored, x and y exchanged.
[[nodiscard]] inline Point moved(Point p, Index symmetry) noexcept {
  if ((symmetry & 1) != 0) p.x = 1 - p.x;
  if ((symmetry & 2) != 0) p.y = 1 - p.y;
  if ((symmetry & 4) != 0) std::swap(p.x, p.y);
  return p;
}

/// Whether what ran counter-clockwise runs clockwise then.
[[nodiscard]] inline bool mirrors(Index symmetry) noexcept {
  return ((symmetry & 1) + (symmetry >> 1 & 1) + (symmetry >> 2 & 1)) % 2 == 1;
}

/// Place i of a view's sets is point order[i]; the first view is the sets as they are.
[[nodiscard]] inline std::vector<Index> order_of_view(Index size, Index view) {
  std::vector<Index> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), Index{0});
  stepscan::Random random(static_cast<std::uint64_t>(view), 4);
  for (std::size_t i = order.size(); view > 0 && i > 1; --i) {
    std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  }
  return order;
}

/// An answer about a view as one about the points themselves, in the one form that equal answers have in common.
[[nodiscard]] inline std::vector<Index> answer_from_view(Task task, const std::vector<Index>& found,
                                                         const std::vector<Index>& order, Index symmetry) {
  std::vector<Index> answer;
  for (const Index place : found) answer.push_back(order[static_cast<std::size_t>(place)]);
  if (task != Task::delaunay) {
    if (mirrors(symmetry)) std::reverse(answer.begin(), answer.end());
    return from_lowest(answer);
  }
  const std::vector<Triangle> triangles = triangles_of(answer);
  answer.clear();
  for (const Triangle& triangle : triangles) answer.insert(answer.end(), triangle.begin(), triangle.end());
  return answer;
}

}  // namespace detail

/// The best answers over so many views. Of tours the shortest is taken, whose length is there to be seen; of hulls and
/// triangulations the one with the largest sum of probabilities over the views, since only the network knows them.
[[nodiscard]] inline std::vector<std::vector<Index>> solve_by_views(Task task, const Network& network,
                                                                    const PointSets& sets, Index beams, Index views,
                                                                    stepscan::Workspace& workspace) {
  if (views == 1) return solve(task, network, sets, beams, workspace).slots;
  std::vector<std::map<std::vector<Index>, double>> votes(static_cast<std::size_t>(sets.count()));
  for (Index view = 0; view < views; ++view) {
    const Index symmetry = view % 8;
    const std::vector<Index> order = detail::order_of_view(sets.size(), view);
    PointSets seen;
    seen.points = sets.points;
    for (Index i = 0; i < sets.count(); ++i) {
      for (Index j = 0; j < sets.size(); ++j) {
        const Point p = detail::moved(point_of(sets.set(i), order[static_cast<std::size_t>(j)]), symmetry);
        seen.points(i, j, 0) = p.x;
        seen.points(i, j, 1) = p.y;
      }
    }
    const Answers found = solve(task, network, seen, beams, workspace);
    for (std::size_t i = 0; i < votes.size(); ++i) {
      const auto answer = detail::answer_from_view(task, found.slots[i], order, symmetry);
      double& vote = votes[i][answer];
      vote =
          task == Task::tour ? -tour_length(sets.set(static_cast<Index>(i)), answer) : vote + std::exp(found.scores[i]);
    }
  }
  std::vector<std::vector<Index>> best;
  for (const auto& own : votes) {
    best.push_back(std::max_element(own.begin(), own.end(), [](const auto& a, const auto& b) {
                     return a.second < b.second;
                   })->first);
  }
  return best;
}

}  // namespace examples
