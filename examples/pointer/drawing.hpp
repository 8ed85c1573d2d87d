#pragma once

#include <fstream>

#include "point_sets.hpp"

namespace examples {

namespace detail {

/// Points and the polygons of an answer in a square of `side` at (left, top); y grows upwards. Of triangles every three
/// corners are one.
inline void draw_answer(std::ofstream& svg, std::span<const Point> points, const std::vector<Index>& answer, Task task,
                        double left, double top, double side, const char* colour) {
  const auto x = [&](const Point& p) { return left + static_cast<double>(p.x) * side; };
  const auto y = [&](const Point& p) { return top + (1 - static_cast<double>(p.y)) * side; };
  const std::size_t corners = task == Task::delaunay ? 3 : std::max<std::size_t>(answer.size(), 1);
  for (std::size_t first = 0; first + corners <= answer.size(); first += corners) {
    svg << "<polygon points=\"";
    for (std::size_t i = first; i < first + corners; ++i) {
      svg << x(point_of(points, answer[i])) << ',' << y(point_of(points, answer[i])) << ' ';
    }
    svg << "\" fill=\"" << colour << "\" fill-opacity=\"0.15\" stroke=\"" << colour << "\"/>\n";
  }
  for (const Point& p : points) svg << "<circle cx=\"" << x(p) << "\" cy=\"" << y(p) << "\" r=\"2.5\"/>\n";
}

}  // namespace detail

/// Draws the first `count` sets below each other: what was found, and the exact answer beside it. Throws FileError.
inline void draw(const std::string& path, Task task, const PointSets& sets,
                 const std::vector<std::vector<Index>>& found, Index count) {
  constexpr double side = 220, margin = 20;
  count = std::min(count, sets.count());
  std::ofstream svg(path);
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << 2 * side + 3 * margin << "\" height=\""
      << static_cast<double>(count) * (side + margin) + 2 * margin
      << "\" font-family=\"sans-serif\" font-size=\"13\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      << "<text x=\"" << margin << "\" y=\"" << margin << "\">found</text>\n"
      << "<text x=\"" << side + 2 * margin << "\" y=\"" << margin << "\">exact</text>\n";
  for (Index i = 0; i < count; ++i) {
    const double top = 1.5 * margin + static_cast<double>(i) * (side + margin);
    const auto set = static_cast<std::size_t>(i);
    detail::draw_answer(svg, sets.set(i), found[set], task, margin, top, side, "#c0392b");
    detail::draw_answer(svg, sets.set(i), sets.answers[set], task, side + 2 * margin, top, side, "#2471a3");
  }
  svg << "</svg>\n";
  if (!svg.flush()) {
    stepscan::fail<stepscan::FileError>("'" + path + "': expected a file that can be written, found an error");
  }
}

}  // namespace examples
