#pragma once

#include <stepscan/models/pointer_network.hpp>

#include "point_sets.hpp"

namespace examples {

/// Sets of points and what a network is taught about them: slots [sets, steps], -1 behind the end, and how many of them
/// are real. The end slot's number is that of the points. Long answers come first, so that those that are not at their
/// end yet are rows of one matrix.
struct Lessons {
  PointSets sets;
  std::vector<Index> slots;
  std::vector<Index> lengths;
  Index steps = 0;

  [[nodiscard]] stepscan::PointerTargets targets() const noexcept { return {slots.data(), steps, lengths.data()}; }
};

[[nodiscard]] inline Lessons random_lessons(Task task, Index count, Index size, stepscan::Random& random) {
  constexpr Index exact_points = 7, starts = 8;
  const PointSets drawn = random_points(count, size, random);
  std::vector<std::pair<std::vector<Index>, Index>> answers;
  for (Index i = 0; i < count; ++i) answers.emplace_back(answer(drawn.set(i), task, exact_points, starts), i);
  std::stable_sort(answers.begin(), answers.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  Lessons lessons;
  lessons.sets.points = drawn.points;
  lessons.steps = static_cast<Index>(answers.front().first.size()) + (has_end(task) ? 1 : 0);
  Index to = 0;
  for (auto& [slots, from] : answers) {
    std::copy_n(&drawn.points(from, 0, 0), size * 2, &lessons.sets.points(to++, 0, 0));
    lessons.sets.answers.push_back(slots);
    if (has_end(task)) slots.push_back(size);
    lessons.lengths.push_back(static_cast<Index>(slots.size()));
    slots.resize(static_cast<std::size_t>(lessons.steps), -1);
    lessons.slots.insert(lessons.slots.end(), slots.begin(), slots.end());
  }
  return lessons;
}

}  // namespace examples
