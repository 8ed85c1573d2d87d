#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/config.hpp>
#include <stepscan/train/number_text.hpp>
#include <string>

namespace stepscan::inline STEPSCAN_ISA {

/// What check_gradients found: the worst of all numbers, and how many there were.
struct GradientReport {
  double error = 0;     ///< |found - expected| / max(1, |expected|); infinite where one is not finite
  std::string where;    ///< "parameter 0.weight_hh[17]", "x[5]", "state 0.h[3]": positions are flat
  double expected = 0;  ///< by central differences
  double found = 0;     ///< by the backward pass
  Index checked = 0;

  /// One more number, element i of what `name()` is.
  template <class Name>
  void include(Name&& name, Index i, double by_differences, double by_backward) {
    const double off = std::abs(by_backward - by_differences) / std::max(1.0, std::abs(by_differences));
    const double size = std::isfinite(off) ? off : std::numeric_limits<double>::infinity();
    if (checked++ > 0 && size <= error) return;
    error = size;
    where = name() + "[" + std::to_string(i) + "]";
    expected = by_differences;
    found = by_backward;
  }

  /// "largest error 3e-09 of 1200 numbers, in parameter 0.weight[4]: expected 0.5, found 0.500000003"
  [[nodiscard]] std::string text() const {
    const auto number = [](double value) { return detail::number_text(value, 9); };
    return "largest error " + number(error) + " of " + std::to_string(checked) + " numbers, in " + where +
           ": expected " + number(expected) + ", found " + number(found);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
