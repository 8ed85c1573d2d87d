#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <span>
#include <stepscan/core/error.hpp>
#include <string>

/// Curves as text and as SVG.
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

/// Writes a curve as an SVG image. Throws FileError.
inline void write_curve(const std::string& path, std::span<const float> values, const std::string& title) {
  constexpr double width = 800, height = 300, margin = 20;
  const double most = detail::largest(values),
               step = (width - 2 * margin) / static_cast<double>(std::max<std::size_t>(values.size() - 1, 1));
  std::ofstream file(path);
  file << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << height << "\">\n<title>"
       << title << "</title>\n<path stroke=\"#bbb\" d=\"M" << margin << ' ' << height / 2 << 'H' << width - margin
       << "\"/>\n<polyline fill=\"none\" stroke=\"#036\" points=\"";
  for (std::size_t i = 0; i < values.size(); ++i) {
    file << margin + step * static_cast<double>(i) << ','
         << height / 2 - (height / 2 - margin) * static_cast<double>(values[i]) / most << ' ';
  }
  file << "\"/>\n</svg>\n";
  if (!file.flush())
    stepscan::fail<stepscan::FileError>("'" + path + "': expected a file that can be written, found an error");
}

}  // namespace examples
