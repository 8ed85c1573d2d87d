#pragma once

#include <cstddef>
#include <stepscan/core/config.hpp>
#include <string>
#include <string_view>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// A name that comes from a file, for a message: in quotes, cut after 100 bytes, with control characters as '?', so
/// that a hostile name can neither flood a log nor steer a terminal.
[[nodiscard]] inline std::string quote_name(std::string_view name) {
  constexpr std::size_t longest = 100;
  std::string text = "'";
  for (const char c : name.substr(0, longest)) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return text + (name.size() > longest ? "...'" : "'");
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
