#pragma once

#include <filesystem>
#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/io/safetensors.hpp>
#include <string>

#include "delaunay.hpp"
#include "tours.hpp"

namespace examples {

/// What a network is asked for.
enum class Task {
  hull,      ///< the corners of the convex hull, counter-clockwise from the one of the lowest index, then the end slot
  tour,      ///< all points in the order of the shortest closed tour, counter-clockwise from point 0
  delaunay,  ///< the Delaunay triangles, three corners each, then the end slot
};

[[nodiscard]] constexpr const char* name_of(Task task) noexcept {
  return task == Task::hull ? "hull" : task == Task::tour ? "tour" : "delaunay";
}
/// A tour ends with its last point.
[[nodiscard]] constexpr bool has_end(Task task) noexcept { return task != Task::tour; }

/// Sets of equally many points, [sets, points, 2], and the answer to each, numbers of points.
struct PointSets {
  stepscan::Tensor<float, stepscan::Dynamic, stepscan::Dynamic, stepscan::Dynamic> points;
  std::vector<std::vector<Index>> answers;

  [[nodiscard]] Index count() const noexcept { return points.extent(0); }
  [[nodiscard]] Index size() const noexcept { return points.extent(1); }
  [[nodiscard]] std::span<const Point> set(Index i) const noexcept {
    const float* const first = points.data() + i * size() * 2;
    return {reinterpret_cast<const Point*>(first), static_cast<std::size_t>(size())};
  }
};

/// The exact answer; of tours through many points the best from so many starts.
[[nodiscard]] inline std::vector<Index> answer(std::span<const Point> points, Task task, Index exact_points,
                                               Index starts) {
  if (task == Task::hull) return convex_hull(points);
  if (task == Task::tour) {
    return static_cast<Index>(points.size()) <= exact_points ? shortest_tour(points) : short_tour(points, starts);
  }
  std::vector<Index> corners;
  for (const Triangle& triangle : delaunay(points)) corners.insert(corners.end(), triangle.begin(), triangle.end());
  return corners;
}

/// Points uniform in the unit square. The same draws give the same points on every platform.
[[nodiscard]] inline PointSets random_points(Index count, Index size, stepscan::Random& random) {
  PointSets sets;
  sets.points = decltype(sets.points)(count, size, Index{2});
  for (float& value : sets.points) value = static_cast<float>(random.uniform());
  return sets;
}

namespace detail {

inline void answer_all(PointSets& sets, Task task) {
  constexpr Index starts = 10;
  for (Index i = 0; i < sets.count(); ++i) sets.answers.push_back(answer(sets.set(i), task, exact_tour_points, starts));
}

}  // namespace detail

/// Sets to test a network with.
[[nodiscard]] inline PointSets random_point_sets(Task task, Index count, Index size, std::uint64_t seed) {
  stepscan::Random random(seed, 3);
  PointSets sets = random_points(count, size, random);
  detail::answer_all(sets, task);
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
  if (task != Task::tour || sets.size() <= exact_tour_points) {
    detail::answer_all(sets, task);
    return sets;
  }
  const std::vector<std::int64_t> tours = file.values<std::int64_t>("out/tour");
  if (file.tensor("out/tour").shape != std::vector<Index>{shape[0], shape[1]} ||
      std::any_of(tours.begin(), tours.end(), [&](std::int64_t i) { return i < 0 || i >= shape[1]; })) {
    fail<stepscan::FileError>(file.where() + ": tensor 'out/tour': expected [sets, points] of point numbers");
  }
  for (Index i = 0; i < sets.count(); ++i) {
    const auto first = tours.begin() + i * shape[1];
    sets.answers.push_back(tour_in_order(sets.set(i), Polygon(first, first + shape[1])));
  }
  return sets;
}

}  // namespace examples
