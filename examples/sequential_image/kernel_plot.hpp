#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>

/// Curves as text.
namespace examples {

namespace detail {

[[nodiscard]] inline float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most > 0 ? most : 1;
}

}  // namespace detail

/// Prints a curve in 64 columns and 13 rows, zero in the middle; a column shows its value of largest size.
inline void print_curve(std::span<const float> values) {
  constexpr std::size_t columns = 64;
  constexpr int half = 6;
  const float most = detail::largest(values);
  std::string rows[2 * half + 1];
  for (std::string& row : rows) row.assign(columns, ' ');
  rows[half].assign(columns, '-');
  for (std::size_t c = 0; c < columns; ++c) {
    const std::size_t begin = values.size() * c / columns, end = values.size() * (c + 1) / columns;
    if (begin == end) continue;
    const auto part = values.subspan(begin, end - begin);
    const float value =
        *std::max_element(part.begin(), part.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
    rows[half - std::lround(half * value / most)][c] = '*';
  }
  for (const std::string& row : rows) std::printf("  %s\n", row.c_str());
}

}  // namespace examples
