#pragma once

namespace stepscan::testing {

/// How many times any thread has called operator new since the program began.
[[nodiscard]] long allocation_count() noexcept;

}  // namespace stepscan::testing
