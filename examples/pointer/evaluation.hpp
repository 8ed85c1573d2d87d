#pragma once

#include <cstdio>

#include "point_sets.hpp"

/// How good the polygons are that a network found.
namespace examples {

/// Hulls, as Pointer Networks' table 1 counts them: `accuracy` is the share of sets whose hull was found, corner by
/// corner; `area` the mean share of the true hull's area that is covered, over the `simple` share of polygons that do
/// not cross themselves. Tours: their mean length and that of the shortest ones, where those are known.
struct Score {
  double accuracy = 0;
  double area = 0;
  double simple = 0;
  double length = 0;
  double shortest = 0;
};

[[nodiscard]] inline Score evaluate(const PointSets& sets, const std::vector<Polygon>& found) {
  Score score;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto points = sets.set(static_cast<Index>(i));
    const Polygon& answer = sets.answers[i];
    score.accuracy += same_polygon(found[i], answer) ? 1 : 0;
    score.length += tour_length(points, found[i]);
    score.shortest += tour_length(points, answer);
    if (found[i].size() < 3 || crosses_itself(points, found[i])) continue;
    score.simple += 1;
    score.area += std::abs(signed_area(points, found[i]) / signed_area(points, answer));
  }
  const double count = std::max(1.0, static_cast<double>(found.size()));
  if (score.simple > 0) score.area /= score.simple;
  for (double* mean : {&score.accuracy, &score.simple, &score.length, &score.shortest}) *mean /= count;
  return score;
}

inline void print(const Score& score, Task task) {
  if (task == Task::hull) {
    std::printf("hulls found: %.1f %%, area covered: %.1f %% by the %.1f %% that do not cross themselves\n",
                100 * score.accuracy, 100 * score.area, 100 * score.simple);
  } else if (score.shortest > 0) {
    std::printf("mean length: %.4f, shortest: %.4f, %.1f %% longer; tours found: %.1f %%\n", score.length,
                score.shortest, 100 * (score.length / score.shortest - 1), 100 * score.accuracy);
  } else {
    std::printf("mean length: %.4f; the shortest tours are not known\n", score.length);
  }
}

}  // namespace examples
