#pragma once

#include <array>
#include <charconv>
#include <stepscan/core/config.hpp>
#include <string>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// A number for a file, with that many significant digits and a point whatever the user's language is.
[[nodiscard]] inline std::string number_text(double value, int digits) {
  std::array<char, 40> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, digits).ptr;
  return {text.data(), end};
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
