#pragma once

#include <stepscan/models/beam_search.hpp>

#include "network.hpp"

namespace examples {

/// What a network points out for each of some sets, and the logarithms of its probabilities.
struct Answers {
  std::vector<std::vector<Index>> slots;
  std::vector<double> scores;
};

/// By greedy search or, of several beams, the best of them. A tour visits every point once; a hull names none twice,
/// and may name none at all.
[[nodiscard]] inline Answers solve(Task task, const Network& network, const PointSets& sets, Index beams,
                                   stepscan::Workspace& workspace) {
  const stepscan::SequenceView<const float> x(sets.points);
  const auto start = network.initial_state(sets.count());
  // n points have at most 2 n - 5 Delaunay triangles.
  const Index steps = task == Task::delaunay ? 6 * sets.size() : network.slots(sets.size());
  const auto found = beams == 1 ? stepscan::greedy_search<float>(network, start, x, steps, workspace)
                                : stepscan::beam_search<float>(network, start, x, beams, steps, workspace);
  Answers answers;
  for (Index i = 0; i < sets.count(); ++i) {
    answers.slots.emplace_back();
    answers.scores.push_back(static_cast<double>(found.scores(i, 0)));
    for (Index t = 0; t < steps; ++t) {
      const Index slot = found.slots(i, 0, t);
      if (slot >= 0 && slot < sets.size()) answers.slots.back().push_back(slot);
    }
  }
  return answers;
}

}  // namespace examples
