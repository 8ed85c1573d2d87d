#include "series.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numbers>
#include <stepscan/core/error.hpp>
#include <stepscan/core/random.hpp>
#include <string_view>

namespace examples {

namespace {

/// What stands between the commas of a line, without the first, the date.
std::vector<std::string_view> fields_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> fields;
  for (std::size_t comma = line.find(','); comma != std::string_view::npos;) {
    line.remove_prefix(comma + 1);
    comma = line.find(',');
    fields.push_back(line.substr(0, comma));
  }
  return fields;
}

}  // namespace

Series::Series(std::vector<std::string> names, const std::vector<float>& values)
    : names_(std::move(names)),
      values_(static_cast<Index>(values.size() / names_.size()), static_cast<Index>(names_.size())) {
  std::copy_n(values.data(), values_.size(), values_.data());
  const Index fitted = rows() / 5 * 3;
  for (Index c = 0; c < channels(); ++c) {
    double sum = 0, squares = 0;
    for (Index t = 0; t < fitted; ++t) sum += static_cast<double>(values_(t, c));
    const double mean = sum / static_cast<double>(fitted);
    for (Index t = 0; t < fitted; ++t) squares += std::pow(static_cast<double>(values_(t, c)) - mean, 2);
    const double deviation = std::max(std::sqrt(squares / static_cast<double>(fitted)), 1e-6);
    for (Index t = 0; t < rows(); ++t) {
      values_(t, c) = static_cast<float>((static_cast<double>(values_(t, c)) - mean) / deviation);
    }
  }
}

Series Series::read(const std::string& path) {
  constexpr std::size_t least = 100, most = 14'400;
  std::ifstream file(path, std::ios::binary);
  std::string line;
  std::getline(file, line);
  const auto header = fields_of(line);
  const std::vector<std::string> names(header.begin(), header.end());
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    stepscan::fail<stepscan::FileError>("'" + path + "': expected " + expected + ", found " + found);
  };
  if (names.empty()) refuse("a line of names, the first one of the date", line.substr(0, 40));
  std::vector<float> values;
  while (values.size() < most * names.size() && std::getline(file, line)) {
    for (const std::string_view field : fields_of(line)) {
      float value = 0;
      const auto [stop, error] = std::from_chars(field.data(), field.data() + field.size(), value);
      if (error != std::errc{} || stop != field.data() + field.size()) {
        refuse("numbers", std::string(field));
      }
      values.push_back(value);
    }
    if (values.size() % names.size() != 0) {
      refuse(std::to_string(names.size()) + " numbers behind every date", line);
    }
  }
  const std::size_t rows = values.size() / names.size();
  if (rows < least) refuse("at least " + std::to_string(least) + " rows", std::to_string(rows));
  return {names, values};
}

Series Series::invent(Index rows) {
  constexpr int channels = 3;
  std::vector<std::string> names;
  for (int c = 0; c < channels; ++c) names.push_back("channel " + std::to_string(c));
  stepscan::Random random(3);
  std::vector<float> values;
  for (Index t = 0; t < rows; ++t) {
    const double day = 2 * std::numbers::pi * static_cast<double>(t) / 24;
    for (int c = 0; c < channels; ++c) {
      const double value = std::sin(day + c) + 0.5 * std::sin(day / 7 * (c + 1)) + 0.2 * random.normal();
      values.push_back(static_cast<float>(value));
    }
  }
  return {names, values};
}

}  // namespace examples
