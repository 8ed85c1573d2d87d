#pragma once

#include <filesystem>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/io/safetensors.hpp>
#include <string>

#include "geometry.hpp"

namespace examples {

/// What a network is asked for.
enum class Task {
  hull,  ///< the corners of the convex hull, counter-clockwise from the one of the lowest index, then the end slot
  tour,  ///< all points in the order of the shortest closed tour
};

/// Sets of equally many points, [sets, points, 2], and the exact answer to each; an answer that nobody knows is empty.
struct PointSets {
  stepscan::Tensor<float, stepscan::Dynamic, stepscan::Dynamic, stepscan::Dynamic> points;
  std::vector<Polygon> answers;

  [[nodiscard]] Index count() const noexcept { return points.extent(0); }
  [[nodiscard]] Index size() const noexcept { return points.extent(1); }
  [[nodiscard]] std::span<const Point> set(Index i) const noexcept {
    const float* const first = points.data() + i * size() * 2;
    return {reinterpret_cast<const Point*>(first), static_cast<std::size_t>(size())};
  }
};

namespace detail {

/// Works the answers out, of tours where there are few enough points.
inline void answer(PointSets& sets, Task task) {
  sets.answers.assign(static_cast<std::size_t>(sets.count()), {});
  if (task == Task::tour && sets.size() > exact_tour_points) return;
  for (Index i = 0; i < sets.count(); ++i) {
    sets.answers[static_cast<std::size_t>(i)] =
        task == Task::hull ? convex_hull(sets.set(i)) : shortest_tour(sets.set(i));
  }
}

}  // namespace detail

/// Points uniform in the unit square. The same seed gives the same sets on every platform.
[[nodiscard]] inline PointSets random_point_sets(Task task, Index count, Index size, std::uint64_t seed) {
  PointSets sets;
  sets.points = decltype(sets.points)(count, size, Index{2});
  stepscan::Random random(seed, 3);
  for (float& value : sets.points) value = static_cast<float>(random.uniform());
  detail::answer(sets, task);
  return sets;
}

/// The first `count` sets of a file with in/points [sets, points, 2] and, for tours of more points than can be solved
/// here, out/tour [sets, points]. Throws FileError.
[[nodiscard]] inline PointSets read_point_sets(Task task, const std::filesystem::path& path, Index count) {
  using stepscan::fail;
  const auto file = stepscan::SafetensorsFile::open(path);
  const std::vector<Index> shape = file.tensor("in/points").shape;
  if (shape.size() != 3 || shape[1] < 1 || shape[2] != 2) {
    fail<stepscan::FileError>(file.where() + ": tensor 'in/points': expected shape [sets, points, 2], found " +
                              stepscan::shape_text(shape));
  }
  PointSets sets;
  sets.points = decltype(sets.points)(std::min(count, shape[0]), shape[1], Index{2});
  const std::vector<float> values = file.values<float>("in/points");
  std::copy_n(values.begin(), sets.points.size(), sets.points.begin());
  detail::answer(sets, task);
  if (task == Task::hull || sets.size() <= exact_tour_points) return sets;
  const std::vector<std::int64_t> tours = file.values<std::int64_t>("out/tour");
  if (file.tensor("out/tour").shape != std::vector<Index>{shape[0], shape[1]} ||
      std::any_of(tours.begin(), tours.end(), [&](std::int64_t i) { return i < 0 || i >= shape[1]; })) {
    fail<stepscan::FileError>(file.where() + ": tensor 'out/tour': expected [sets, points] of point numbers");
  }
  for (Index i = 0; i < sets.count(); ++i) {
    sets.answers[static_cast<std::size_t>(i)].assign(tours.begin() + i * shape[1], tours.begin() + (i + 1) * shape[1]);
  }
  return sets;
}

/// What a network is taught: slots [sets, steps], -1 behind the end, and how many of them are real. A hull ends with
/// the end slot, whose number is that of the points.
struct Targets {
  std::vector<Index> slots;
  std::vector<Index> lengths;
  Index steps = 0;
};

[[nodiscard]] inline Targets targets_of(const PointSets& sets, Task task) {
  Targets targets;
  targets.steps = sets.size() + (task == Task::hull ? 1 : 0);
  for (const Polygon& answer : sets.answers) {
    std::vector<Index> row(answer);
    if (task == Task::hull) row.push_back(sets.size());
    targets.lengths.push_back(static_cast<Index>(row.size()));
    row.resize(static_cast<std::size_t>(targets.steps), -1);
    targets.slots.insert(targets.slots.end(), row.begin(), row.end());
  }
  return targets;
}

}  // namespace examples
