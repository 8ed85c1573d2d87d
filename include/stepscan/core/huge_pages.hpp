#pragma once

#include <cstddef>
#include <cstdint>
#include <stepscan/core/config.hpp>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace stepscan::inline STEPSCAN_ISA {

/// Asks the system to keep memory of 4 MB and more, as yet untouched, in large pages. Rows of long sequences lie on so
/// many small ones that finding them takes up to a tenth of a scan's time.
inline void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::size_t least = std::size_t{1} << 22, largest_small_page = std::size_t{1} << 16;
  if (bytes < least) return;
  const std::size_t skipped = -reinterpret_cast<std::uintptr_t>(memory) % largest_small_page;
  static_cast<void>(::madvise(static_cast<char*>(memory) + skipped, bytes - skipped, MADV_HUGEPAGE));
#endif
}

}  // namespace stepscan::inline STEPSCAN_ISA
