#pragma once

#include <chrono>
#include <ctime>

namespace examples {

[[nodiscard]] inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Of the processor, spent by all threads of this program so far: what else the computer does changes little of it.
[[nodiscard]] inline double processor_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

}  // namespace examples
