#pragma once

#include <cmath>
#include <stepscan/core/config.hpp>
#include <vector>

/// Fixed log decays, one per head, as the papers choose them.
namespace stepscan::inline STEPSCAN_ISA {

/// log(1 - 2^(-5-h)) (RetNet, arXiv 2307.08621, section 2.2).
[[nodiscard]] inline std::vector<double> retnet_schedule(Index heads) {
  std::vector<double> schedule;
  for (Index h = 0; h < heads; ++h) schedule.push_back(std::log1p(-std::exp2(-5.0 - static_cast<double>(h))));
  return schedule;
}

/// log(1 - r), r from 1/32 to 1/512 at equal distances of its logarithm.
[[nodiscard]] inline std::vector<double> log_linspace_schedule(Index heads) {
  const double first = std::log(1.0 / 32), last = std::log(1.0 / 512);
  std::vector<double> schedule;
  for (Index h = 0; h < heads; ++h) {
    const double part = heads > 1 ? static_cast<double>(h) / static_cast<double>(heads - 1) : 0;
    schedule.push_back(std::log1p(-std::exp(first + part * (last - first))));
  }
  return schedule;
}

/// -slope_h (1 - layer / (layers - 1) + 1e-5) with the slopes of ALiBi (TransNormerLLM, arXiv 2307.14995, equation 7):
/// the last layer hardly decays. The slopes of a number of heads that is no power of two are those of the largest one
/// below it and then every second one of twice that number. A single layer decays as the first of many.
[[nodiscard]] inline std::vector<double> tnl_schedule(Index heads, Index layer, Index layers) {
  Index power = 1;
  while (2 * power <= heads) power *= 2;
  const auto slope = [](Index h, Index of) {
    return std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(of));
  };
  const double place = layers > 1 ? static_cast<double>(layer) / static_cast<double>(layers - 1) : 0;
  std::vector<double> schedule;
  for (Index h = 0; h < heads; ++h) {
    const double own = h < power ? slope(h, power) : slope(2 * (h - power), 2 * power);
    schedule.push_back(-own * (1 - place + 1e-5));
  }
  return schedule;
}

}  // namespace stepscan::inline STEPSCAN_ISA
