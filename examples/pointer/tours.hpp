#pragma once

#include <limits>
#include <utility>

#include "geometry.hpp"

/// Closed tours through all points: the shortest one of few points, a short one of many.
namespace examples {

/// Points up to which shortest_tour is quick.
inline constexpr Index exact_tour_points = 12;

/// The same tour from point 0 on, counter-clockwise: what a network is taught, whose first step then has one answer.
[[nodiscard]] inline Polygon tour_in_order(std::span<const Point> points, Polygon tour) {
  tour = from_lowest(std::move(tour));
  if (signed_area(points, tour) < 0) std::reverse(tour.begin() + 1, tour.end());
  return tour;
}

/// The lengths of all edges, [points, points].
class Distances {
 public:
  explicit Distances(std::span<const Point> points) : count_(points.size()), lengths_(count_ * count_) {
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j = 0; j < i; ++j)
        lengths_[i * count_ + j] = lengths_[j * count_ + i] = distance(points[i], points[j]);
    }
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] double operator()(Index i, Index j) const noexcept {
    return lengths_[static_cast<std::size_t>(i) * count_ + static_cast<std::size_t>(j)];
  }

 private:
  std::size_t count_;
  std::vector<double> lengths_;
};

/// The shortest closed tour, by dynamic programming over subsets (Held and Karp 1962): best[s][j] = the shortest way
/// from 0 through all of s that ends in j.
[[nodiscard]] inline Polygon shortest_tour(std::span<const Point> points) {
  const std::size_t n = points.size();
  if (n < 4) {
    Polygon all(n);
    std::iota(all.begin(), all.end(), Index{0});
    return tour_in_order(points, std::move(all));
  }
  const Distances lengths(points);
  const auto length = [&](std::size_t i, std::size_t j) {
    return lengths(static_cast<Index>(i), static_cast<Index>(j));
  };
  const std::size_t others = n - 1, subsets = std::size_t{1} << others;
  std::vector<double> best(subsets * others, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> before(subsets * others, 0);
  for (std::size_t j = 0; j < others; ++j) best[(std::size_t{1} << j) * others + j] = length(0, j + 1);
  for (std::size_t s = 1; s < subsets; ++s) {
    for (std::size_t j = 0; j < others; ++j) {
      const std::size_t rest = s & ~(std::size_t{1} << j);
      if (rest == s || rest == 0) continue;
      for (std::size_t i = 0; i < others; ++i) {
        const double found = best[rest * others + i] + length(i + 1, j + 1);
        if (found >= best[s * others + j]) continue;
        best[s * others + j] = found;
        before[s * others + j] = i;
      }
    }
  }
  std::size_t last = 0;
  const auto closed = [&](std::size_t j) { return best[(subsets - 1) * others + j] + length(j + 1, 0); };
  for (std::size_t j = 1; j < others; ++j) last = closed(j) < closed(last) ? j : last;
  Polygon tour{0};
  for (std::size_t s = subsets - 1; s != 0;) {
    tour.push_back(static_cast<Index>(last) + 1);
    const std::size_t previous = before[s * others + last];
    s &= ~(std::size_t{1} << last);
    last = previous;
  }
  return tour_in_order(points, std::move(tour));
}

namespace detail {

/// From `start` always to the nearest point that is left.
[[nodiscard]] inline Polygon nearest_neighbours(const Distances& lengths, Index start) {
  Polygon tour(lengths.count());
  std::iota(tour.begin(), tour.end(), Index{0});
  std::swap(tour.front(), tour[static_cast<std::size_t>(start)]);
  for (auto end = tour.begin() + 1; end != tour.end(); ++end) {
    std::iter_swap(end, std::min_element(end, tour.end(), [&](Index i, Index j) {
                     return lengths(*(end - 1), i) < lengths(*(end - 1), j);
                   }));
  }
  return tour;
}

inline constexpr double least_gain = 1e-9;

/// 2-opt: two edges become two shorter ones by turning the way between them around. Whether there was such a pair.
[[nodiscard]] inline bool turn_parts(const Distances& lengths, Polygon& tour) {
  const std::size_t n = tour.size();
  bool better = false;
  for (std::size_t i = 0; i + 2 < n; ++i) {
    for (std::size_t j = i + 2; j < n; ++j) {
      const Index a = tour[i], b = tour[i + 1], c = tour[j], d = tour[(j + 1) % n];
      if (d == a || lengths(a, c) + lengths(b, d) > lengths(a, b) + lengths(c, d) - least_gain) continue;
      std::reverse(tour.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                   tour.begin() + static_cast<std::ptrdiff_t>(j) + 1);
      better = true;
    }
  }
  return better;
}

/// Or-opt: up to three points in a row move between two others, either way round. Whether any did.
[[nodiscard]] inline bool move_parts(const Distances& lengths, Polygon& tour) {
  const std::size_t n = tour.size();
  bool better = false;
  for (std::size_t size = 1; size <= 3 && size + 2 < n; ++size) {
    for (std::size_t turns = 0; turns < n; ++turns) {
      std::rotate(tour.begin(), tour.begin() + 1, tour.end());
      const Index first = tour[0], last = tour[size - 1], before = tour[n - 1], behind = tour[size];
      const double away = lengths(before, first) + lengths(last, behind) - lengths(before, behind) - least_gain;
      for (std::size_t k = size; k + 1 < n; ++k) {
        const Index left = tour[k], right = tour[k + 1];
        const double gap = away + lengths(left, right);
        const bool straight = lengths(left, first) + lengths(last, right) < gap;
        if (!straight && lengths(left, last) + lengths(first, right) >= gap) continue;
        const auto part = static_cast<std::ptrdiff_t>(size), place = static_cast<std::ptrdiff_t>(k) + 1;
        if (!straight) std::reverse(tour.begin(), tour.begin() + part);
        std::rotate(tour.begin(), tour.begin() + part, tour.begin() + place);
        better = true;
        break;
      }
    }
  }
  return better;
}

}  // namespace detail

/// A short closed tour: the best of several from nearest neighbours on, each improved by 2-opt and or-opt moves until
/// none helps.
[[nodiscard]] inline Polygon short_tour(std::span<const Point> points, Index starts) {
  const Distances lengths(points);
  const auto count = static_cast<Index>(points.size());
  Polygon best;
  double shortest = std::numeric_limits<double>::infinity();
  for (Index start = 0; start < std::min(starts, count); ++start) {
    Polygon tour = detail::nearest_neighbours(lengths, start * count / std::min(starts, count));
    while (detail::turn_parts(lengths, tour) || detail::move_parts(lengths, tour)) {
    }
    const double length = tour_length(points, tour);
    if (length >= shortest) continue;
    shortest = length;
    best = std::move(tour);
  }
  return tour_in_order(points, std::move(best));
}

}  // namespace examples
