#pragma once

namespace stepscan::testing {

/// How many times any thread has called operator new since the program began.
[[nodiscard]] long allocation_count() noexcept;
/// How many bytes it was asked for in all.
[[nodiscard]] long allocated_bytes() noexcept;

}  // namespace stepscan::testing
