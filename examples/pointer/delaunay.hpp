#pragma once

#include <utility>

#include "geometry.hpp"

namespace examples {

using Triangle = std::array<Index, 3>;

/// Whether d lies within the circle through a, b and c, which run counter-clockwise.
[[nodiscard]] inline bool in_circle(const Point& a, const Point& b, const Point& c, const Point& d) noexcept {
  const auto row = [&d](const Point& p) {
    const double x = static_cast<double>(p.x) - static_cast<double>(d.x),
                 y = static_cast<double>(p.y) - static_cast<double>(d.y);
    return std::array{x, y, x * x + y * y};
  };
  const auto [ax, ay, az] = row(a);
  const auto [bx, by, bz] = row(b);
  const auto [cx, cy, cz] = row(c);
  return ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx) > 0;
}

/// The centre of the inscribed circle.
[[nodiscard]] inline std::array<double, 2> incentre(std::span<const Point> points, const Triangle& triangle) noexcept {
  const Point &a = point_of(points, triangle[0]), &b = point_of(points, triangle[1]),
              &c = point_of(points, triangle[2]);
  const double at_a = distance(b, c), at_b = distance(a, c), at_c = distance(a, b);
  const auto mean = [&](float of_a, float of_b, float of_c) {
    return (at_a * static_cast<double>(of_a) + at_b * static_cast<double>(of_b) + at_c * static_cast<double>(of_c)) /
           (at_a + at_b + at_c);
  };
  return {mean(a.x, b.x, c.x), mean(a.y, b.y, c.y)};
}

/// The Delaunay triangulation by its definition: the triangles whose circle has no other point within. They are ordered
/// by their incentres, x first, the numbers in each rise (arXiv 1506.03134, section 3.2).
[[nodiscard]] inline std::vector<Triangle> delaunay(std::span<const Point> points) {
  const auto count = static_cast<Index>(points.size());
  const auto is_empty = [&](Triangle t) {
    if (turn(point_of(points, t[0]), point_of(points, t[1]), point_of(points, t[2])) < 0) std::swap(t[1], t[2]);
    for (Index i = 0; i < count; ++i) {
      if (i == t[0] || i == t[1] || i == t[2]) continue;
      if (in_circle(point_of(points, t[0]), point_of(points, t[1]), point_of(points, t[2]), point_of(points, i))) {
        return false;
      }
    }
    return true;
  };
  std::vector<std::pair<std::array<double, 2>, Triangle>> found;
  for (Index i = 0; i < count; ++i) {
    for (Index j = i + 1; j < count; ++j) {
      for (Index k = j + 1; k < count; ++k) {
        const Triangle triangle{i, j, k};
        if (is_empty(triangle)) found.emplace_back(incentre(points, triangle), triangle);
      }
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<Triangle> triangles;
  for (const auto& [centre, triangle] : found) triangles.push_back(triangle);
  return triangles;
}

}  // namespace examples
