#pragma once

#include <cstddef>
#include <stepscan/core/version.hpp>

/// STEPSCAN_ISA names the instruction set this translation unit is compiled for. All of stepscan lives in
/// `namespace stepscan::inline STEPSCAN_ISA`, so that units built with different -m flags link together without
/// one unit's kernels silently replacing the other's.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define STEPSCAN_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define STEPSCAN_ISA avx2_fma
#elif defined(__AVX2__)
#define STEPSCAN_ISA avx2
#elif defined(__AVX__)
#define STEPSCAN_ISA avx
#elif defined(__SSE4_2__)
#define STEPSCAN_ISA sse4_2
#elif defined(__SSE2__) || defined(_M_X64)
#define STEPSCAN_ISA sse2
#elif defined(__aarch64__)
#define STEPSCAN_ISA neon64
#else
#define STEPSCAN_ISA generic
#endif

/// Checked in debug builds, absent in release builds: preconditions of hot paths.
#if defined(NDEBUG)
#define STEPSCAN_ASSERT(condition) static_cast<void>(0)
#else
#include <cassert>
#define STEPSCAN_ASSERT(condition) assert(condition)
#endif

namespace stepscan::inline STEPSCAN_ISA {

/// Sizes, strides and positions. Signed, as in Eigen.
using Index = std::ptrdiff_t;

/// A size that is known only at run time.
inline constexpr Index Dynamic = -1;

}  // namespace stepscan::inline STEPSCAN_ISA
