#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <stepscan/core/config.hpp>
#include <vector>

/// Points in the plane, and the exact answers to what a pointer network is asked about them.
namespace examples {

using stepscan::Index;

struct Point {
  float x = 0;
  float y = 0;
};
static_assert(sizeof(Point) == 2 * sizeof(float));

/// Indices of points in the order in which a closed polygon visits them.
using Polygon = std::vector<Index>;

[[nodiscard]] inline double distance(const Point& a, const Point& b) noexcept {
  return std::hypot(static_cast<double>(a.x) - static_cast<double>(b.x),
                    static_cast<double>(a.y) - static_cast<double>(b.y));
}

/// Twice the area of the triangle a, b, c, above zero where it turns counter-clockwise.
[[nodiscard]] inline double turn(const Point& a, const Point& b, const Point& c) noexcept {
  const auto x = [&a](const Point& p) { return static_cast<double>(p.x) - static_cast<double>(a.x); };
  const auto y = [&a](const Point& p) { return static_cast<double>(p.y) - static_cast<double>(a.y); };
  return x(b) * y(c) - y(b) * x(c);
}

[[nodiscard]] inline const Point& point_of(std::span<const Point> points, Index i) noexcept {
  return points[static_cast<std::size_t>(i)];
}

/// Calls f(a, b) for the edges of a closed polygon.
template <class F>
void for_each_edge(std::span<const Point> points, const Polygon& polygon, F&& f) {
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    f(point_of(points, polygon[i]), point_of(points, polygon[(i + 1) % polygon.size()]));
  }
}

/// The area within a polygon that does not cross itself, below zero where it runs clockwise.
[[nodiscard]] inline double signed_area(std::span<const Point> points, const Polygon& polygon) {
  double twice = 0;
  for_each_edge(points, polygon, [&](const Point& a, const Point& b) { twice += turn({0, 0}, a, b); });
  return twice / 2;
}

/// The length of a closed tour.
[[nodiscard]] inline double tour_length(std::span<const Point> points, const Polygon& tour) {
  double length = 0;
  for_each_edge(points, tour, [&](const Point& a, const Point& b) { length += distance(a, b); });
  return length;
}

/// Whether two edges that share no corner cross. Points in general position never touch without crossing.
[[nodiscard]] inline bool crosses_itself(std::span<const Point> points, const Polygon& polygon) {
  const std::size_t n = polygon.size();
  const auto corner = [&](std::size_t i) -> const Point& { return point_of(points, polygon[i % n]); };
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 2; j < n && j + 1 < n + i; ++j) {
      const Point &a = corner(i), &b = corner(i + 1), &c = corner(j), &d = corner(j + 1);
      if ((turn(a, b, c) > 0) != (turn(a, b, d) > 0) && (turn(c, d, a) > 0) != (turn(c, d, b) > 0)) return true;
    }
  }
  return false;
}

/// The same polygon beginning at its point of the lowest index.
[[nodiscard]] inline Polygon from_lowest(Polygon polygon) {
  std::rotate(polygon.begin(), std::min_element(polygon.begin(), polygon.end()), polygon.end());
  return polygon;
}

/// Whether two polygons have the same edges, whatever corner they begin at and whichever way they run.
[[nodiscard]] inline bool same_polygon(const Polygon& a, const Polygon& b) {
  if (a.size() != b.size() || a.empty()) return a.size() == b.size();
  const Polygon left = from_lowest(a), right = from_lowest(b);
  Polygon reversed = right;
  std::reverse(reversed.begin() + 1, reversed.end());
  return left == right || left == reversed;
}

/// The convex hull, counter-clockwise from its point of the lowest index (Andrew's monotone chain).
[[nodiscard]] inline Polygon convex_hull(std::span<const Point> points) {
  Polygon order(points.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&](Index i, Index j) {
    const Point &a = point_of(points, i), &b = point_of(points, j);
    return a.x != b.x ? a.x < b.x : a.y < b.y;
  });
  if (order.size() < 3) return from_lowest(order);
  Polygon hull;
  const auto extend = [&](Index next, std::size_t fixed) {
    while (hull.size() > fixed &&
           turn(point_of(points, hull[hull.size() - 2]), point_of(points, hull.back()), point_of(points, next)) <= 0) {
      hull.pop_back();
    }
    hull.push_back(next);
  };
  for (const Index i : order) extend(i, 1);
  const std::size_t lower = hull.size();
  for (auto i = order.rbegin() + 1; i != order.rend(); ++i) extend(*i, lower);
  hull.pop_back();
  return from_lowest(hull);
}

}  // namespace examples
