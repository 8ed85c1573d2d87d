#pragma once

#include <cstdio>

#include "point_sets.hpp"

/// How good the answers are that a network found.
namespace examples {

/// Hulls, as Pointer Networks' table 1 counts them: `accuracy` is the share of sets whose hull was found, corner by
/// corner; `area` the mean share of the true hull's area that is covered, over the `simple` share of polygons that do
/// not cross themselves. Tours: their mean length and that of the shortest ones known. Delaunay triangles (section
/// 4.3): `accuracy` the share of sets whose triangles were all found and no others, `coverage` the mean share of the
/// true triangles that were found.
struct Score {
  double accuracy = 0;
  double area = 0;
  double simple = 0;
  double length = 0;
  double shortest = 0;
  double coverage = 0;
};

namespace detail {

/// The triangles of a sequence of corners, their numbers rising, each once.
[[nodiscard]] inline std::vector<Triangle> triangles_of(const std::vector<Index>& corners) {
  std::vector<Triangle> triangles;
  for (std::size_t i = 0; i + 2 < corners.size(); i += 3) {
    triangles.push_back({corners[i], corners[i + 1], corners[i + 2]});
    std::sort(triangles.back().begin(), triangles.back().end());
  }
  std::sort(triangles.begin(), triangles.end());
  triangles.erase(std::unique(triangles.begin(), triangles.end()), triangles.end());
  return triangles;
}

inline void add_triangles(const std::vector<Index>& answer, const std::vector<Index>& found, Score& score) {
  const std::vector<Triangle> right = triangles_of(answer), own = triangles_of(found);
  std::vector<Triangle> both;
  std::set_intersection(right.begin(), right.end(), own.begin(), own.end(), std::back_inserter(both));
  score.accuracy += own == right ? 1 : 0;
  score.coverage += static_cast<double>(both.size()) / static_cast<double>(std::max<std::size_t>(right.size(), 1));
}

inline void add_polygon(std::span<const Point> points, const Polygon& answer, const Polygon& found, Score& score) {
  score.accuracy += same_polygon(found, answer) ? 1 : 0;
  score.length += tour_length(points, found);
  score.shortest += tour_length(points, answer);
  if (found.size() < 3 || crosses_itself(points, found)) return;
  score.simple += 1;
  score.area += std::abs(signed_area(points, found) / signed_area(points, answer));
}

}  // namespace detail

[[nodiscard]] inline Score evaluate(Task task, const PointSets& sets, const std::vector<std::vector<Index>>& found) {
  Score score;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (task == Task::delaunay) {
      detail::add_triangles(sets.answers[i], found[i], score);
    } else {
      detail::add_polygon(sets.set(static_cast<Index>(i)), sets.answers[i], found[i], score);
    }
  }
  const double count = std::max(1.0, static_cast<double>(found.size()));
  if (score.simple > 0) score.area /= score.simple;
  for (double* mean : {&score.accuracy, &score.simple, &score.length, &score.shortest, &score.coverage}) *mean /= count;
  return score;
}

/// How far a network is from the best answers; 0 where it finds them all.
[[nodiscard]] inline double shortfall(Task task, const Score& score) noexcept {
  return task == Task::tour ? score.length / score.shortest - 1 : 1 - score.accuracy;
}

inline void print(const Score& score, Task task) {
  if (task == Task::hull) {
    std::printf("hulls found: %.1f %%, area covered: %.1f %% by the %.1f %% that do not cross themselves\n",
                100 * score.accuracy, 100 * score.area, 100 * score.simple);
  } else if (task == Task::tour) {
    std::printf("mean length: %.4f, best known: %.4f, %.1f %% longer; tours found: %.1f %%\n", score.length,
                score.shortest, 100 * (score.length / score.shortest - 1), 100 * score.accuracy);
  } else {
    std::printf("triangulations found: %.1f %%, triangles found: %.1f %%\n", 100 * score.accuracy,
                100 * score.coverage);
  }
}

}  // namespace examples
