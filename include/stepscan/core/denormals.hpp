#pragma once

#include <cstdint>
#include <stepscan/core/config.hpp>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace stepscan::inline STEPSCAN_ISA {

/// While it lives, this thread treats subnormal numbers as zero, in operands and results: a state that decays towards
/// zero after a loud input then costs what any other state costs. Put one around an audio callback or a serving loop.
/// The former mode comes back at the end of the scope. No effect on processors without such a mode.
class FlushDenormals {
 public:
  FlushDenormals() noexcept : before_(control()) { set_control(before_ | flush_bits); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
  ~FlushDenormals() { set_control(before_); }

 private:
#if defined(__SSE2__) || defined(_M_X64)
  static constexpr std::uint64_t flush_bits = 0x8040;  // flush to zero, denormals are zero
  static std::uint64_t control() noexcept { return _mm_getcsr(); }
  static void set_control(std::uint64_t value) noexcept { _mm_setcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t flush_bits = std::uint64_t{1} << 24;  // FPCR.FZ
  static std::uint64_t control() noexcept {
    std::uint64_t value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_control(std::uint64_t value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
  static constexpr std::uint64_t flush_bits = 0;
  static std::uint64_t control() noexcept { return 0; }
  static void set_control(std::uint64_t) noexcept {}
#endif

  std::uint64_t before_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
