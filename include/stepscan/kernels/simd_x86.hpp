#pragma once

#include <cstddef>
#include <cstdint>
#include <stepscan/core/config.hpp>
#include <type_traits>

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#endif

/// x86 instructions that simd.hpp uses directly, as overloads on the register type: where some version of xsimd lacks
/// them (fused multiply-add of AVX-512, masked loads), leaves the treatment of NaN open (max, min), or makes GCC 12
/// warn (several of AVX-512).
namespace stepscan::inline STEPSCAN_ISA {
namespace detail::x86 {

/// Keeps every name below declared on all targets, so that simd.hpp can ask whether an overload exists.
struct NoRegister {};
void fma(NoRegister);
void fnma(NoRegister);
void max(NoRegister);
void min(NoRegister);
void load_n(NoRegister);
void store_n(NoRegister);
void sqrt(NoRegister);
void sum(NoRegister);
void sum_each(NoRegister);
void transpose_block(NoRegister);
template <int Count>
void first_lanes(NoRegister);
template <int Count>
void shift_left(NoRegister);
template <int Count>
void shift_right(NoRegister);

/// Width of the integers in a register, which its type does not tell.
template <std::size_t Bytes>
using LaneBytes = std::integral_constant<std::size_t, Bytes>;

#if defined(__FMA__) || defined(__AVX512F__)
[[gnu::always_inline]] inline __m128 fma(__m128 a, __m128 b, __m128 c) noexcept { return _mm_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m128d fma(__m128d a, __m128d b, __m128d c) noexcept { return _mm_fmadd_pd(a, b, c); }
[[gnu::always_inline]] inline __m256 fma(__m256 a, __m256 b, __m256 c) noexcept { return _mm256_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m256d fma(__m256d a, __m256d b, __m256d c) noexcept { return _mm256_fmadd_pd(a, b, c); }
[[gnu::always_inline]] inline __m128 fnma(__m128 a, __m128 b, __m128 c) noexcept { return _mm_fnmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m128d fnma(__m128d a, __m128d b, __m128d c) noexcept { return _mm_fnmadd_pd(a, b, c); }
[[gnu::always_inline]] inline __m256 fnma(__m256 a, __m256 b, __m256 c) noexcept { return _mm256_fnmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m256d fnma(__m256d a, __m256d b, __m256d c) noexcept {
  return _mm256_fnmadd_pd(a, b, c);
}
#endif

#if defined(__SSE2__) || defined(_M_X64)
[[gnu::always_inline]] inline __m128 max(__m128 a, __m128 b) noexcept { return _mm_max_ps(a, b); }
[[gnu::always_inline]] inline __m128d max(__m128d a, __m128d b) noexcept { return _mm_max_pd(a, b); }
[[gnu::always_inline]] inline __m128 min(__m128 a, __m128 b) noexcept { return _mm_min_ps(a, b); }
[[gnu::always_inline]] inline __m128d min(__m128d a, __m128d b) noexcept { return _mm_min_pd(a, b); }
#endif

#if defined(__AVX__)
[[gnu::always_inline]] inline __m256 max(__m256 a, __m256 b) noexcept { return _mm256_max_ps(a, b); }
[[gnu::always_inline]] inline __m256d max(__m256d a, __m256d b) noexcept { return _mm256_max_pd(a, b); }
[[gnu::always_inline]] inline __m256 min(__m256 a, __m256 b) noexcept { return _mm256_min_ps(a, b); }
[[gnu::always_inline]] inline __m256d min(__m256d a, __m256d b) noexcept { return _mm256_min_pd(a, b); }

/// -1 in the first n lanes of 32 bits (or 64 bits: two entries per lane), read at an offset into this table.
alignas(64) inline constexpr std::int32_t lane_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
[[gnu::always_inline]] inline __m256i first_lanes(int words) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane_mask + 8 - words));
}

#if !defined(__AVX512F__)
[[gnu::always_inline]] inline __m256 load_n(const float* p, int n) noexcept {
  return _mm256_maskload_ps(p, first_lanes(n));
}
[[gnu::always_inline]] inline __m256d load_n(const double* p, int n) noexcept {
  return _mm256_maskload_pd(p, first_lanes(2 * n));
}
#endif
// By halves: a masked store takes many cycles on AMD processors.
[[gnu::always_inline]] inline void store_n(float* p, __m256 x, int n) noexcept {
  if (n == 8) return _mm256_storeu_ps(p, x);
  __m128 rest = _mm256_castps256_ps128(x);
  if ((n & 4) != 0) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(x, 1);
    p += 4;
  }
  if ((n & 2) != 0) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if ((n & 1) != 0) _mm_store_ss(p, rest);
}
[[gnu::always_inline]] inline void store_n(double* p, __m256d x, int n) noexcept {
  if (n == 4) return _mm256_storeu_pd(p, x);
  __m128d rest = _mm256_castpd256_pd128(x);
  if ((n & 2) != 0) {
    _mm_storeu_pd(p, rest);
    rest = _mm256_extractf128_pd(x, 1);
    p += 2;
  }
  if ((n & 1) != 0) _mm_store_sd(p, rest);
}
#endif

#if defined(__AVX__)
/// to = the transpose of a block of 8 x 8 floats or 4 x 4 doubles. Rows are loaded by halves, a half four (two) rows
/// below it beside each, so that no shuffle crosses the halves of a register.
[[gnu::always_inline]] inline void transpose_block(const float* from, Index from_stride, float* to,
                                                   Index to_stride) noexcept {
  const auto rows = [&](Index r, Index column) __attribute__((always_inline)) {
    const float* const at = from + r * from_stride + column;
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + 4 * from_stride), 1);
  };
  for (Index column = 0; column < 8; column += 4) {
    const __m256 a = rows(0, column), b = rows(1, column), c = rows(2, column), d = rows(3, column);
    const __m256 low_ab = _mm256_unpacklo_ps(a, b), high_ab = _mm256_unpackhi_ps(a, b);
    const __m256 low_cd = _mm256_unpacklo_ps(c, d), high_cd = _mm256_unpackhi_ps(c, d);
    float* const out = to + column * to_stride;
    _mm256_storeu_ps(out, _mm256_shuffle_ps(low_ab, low_cd, 0x44));
    _mm256_storeu_ps(out + to_stride, _mm256_shuffle_ps(low_ab, low_cd, 0xEE));
    _mm256_storeu_ps(out + 2 * to_stride, _mm256_shuffle_ps(high_ab, high_cd, 0x44));
    _mm256_storeu_ps(out + 3 * to_stride, _mm256_shuffle_ps(high_ab, high_cd, 0xEE));
  }
}
[[gnu::always_inline]] inline void transpose_block(const double* from, Index from_stride, double* to,
                                                   Index to_stride) noexcept {
  const auto rows = [&](Index r, Index column) __attribute__((always_inline)) {
    const double* const at = from + r * from_stride + column;
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(at)), _mm_loadu_pd(at + 2 * from_stride), 1);
  };
  for (Index column = 0; column < 4; column += 2) {
    const __m256d a = rows(0, column), b = rows(1, column);
    _mm256_storeu_pd(to + column * to_stride, _mm256_unpacklo_pd(a, b));
    _mm256_storeu_pd(to + (column + 1) * to_stride, _mm256_unpackhi_pd(a, b));
  }
}

/// The sums of 8 registers of 8 floats, and of 4 of 4 doubles, side by side.
[[gnu::always_inline]] inline __m256 sum_each(const __m256* x) noexcept {
  const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
  const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
[[gnu::always_inline]] inline __m256d sum_each(const __m256d* x) noexcept {
  const __m256d low = _mm256_hadd_pd(x[0], x[1]), high = _mm256_hadd_pd(x[2], x[3]);
  return _mm256_add_pd(_mm256_permute2f128_pd(low, high, 0x20), _mm256_permute2f128_pd(low, high, 0x31));
}

/// The first Count lanes of a, the others of b.
template <int Count>
[[gnu::always_inline]] inline __m256 first_lanes(__m256 a, __m256 b) noexcept {
  return _mm256_blend_ps(b, a, (1 << Count) - 1);
}
template <int Count>
[[gnu::always_inline]] inline __m256d first_lanes(__m256d a, __m256d b) noexcept {
  return _mm256_blend_pd(b, a, (1 << Count) - 1);
}
#endif

#if defined(__AVX512F__)
template <int Count>
[[gnu::always_inline]] inline __m512 first_lanes(__m512 a, __m512 b) noexcept {
  return _mm512_mask_blend_ps(static_cast<__mmask16>((1U << Count) - 1U), b, a);
}
template <int Count>
[[gnu::always_inline]] inline __m512d first_lanes(__m512d a, __m512d b) noexcept {
  return _mm512_mask_blend_pd(static_cast<__mmask8>((1U << Count) - 1U), b, a);
}
[[gnu::always_inline]] inline __m512 fma(__m512 a, __m512 b, __m512 c) noexcept { return _mm512_fmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m512d fma(__m512d a, __m512d b, __m512d c) noexcept { return _mm512_fmadd_pd(a, b, c); }
[[gnu::always_inline]] inline __m512 fnma(__m512 a, __m512 b, __m512 c) noexcept { return _mm512_fnmadd_ps(a, b, c); }
[[gnu::always_inline]] inline __m512d fnma(__m512d a, __m512d b, __m512d c) noexcept {
  return _mm512_fnmadd_pd(a, b, c);
}

// The maskz_ forms with all lanes set are the plain instructions; GCC 12 warns of uninitialised memory inside the
// others.
inline constexpr __mmask16 all_16 = 0xFFFF;
inline constexpr __mmask8 all_8 = 0xFF;
[[gnu::always_inline]] inline __m512 max(__m512 a, __m512 b) noexcept { return _mm512_maskz_max_ps(all_16, a, b); }
[[gnu::always_inline]] inline __m512d max(__m512d a, __m512d b) noexcept { return _mm512_maskz_max_pd(all_8, a, b); }
[[gnu::always_inline]] inline __m512 min(__m512 a, __m512 b) noexcept { return _mm512_maskz_min_ps(all_16, a, b); }
[[gnu::always_inline]] inline __m512d min(__m512d a, __m512d b) noexcept { return _mm512_maskz_min_pd(all_8, a, b); }
[[gnu::always_inline]] inline __m512 sqrt(__m512 a) noexcept { return _mm512_maskz_sqrt_ps(all_16, a); }
[[gnu::always_inline]] inline __m512d sqrt(__m512d a) noexcept { return _mm512_maskz_sqrt_pd(all_8, a); }

template <int Count>
[[gnu::always_inline]] inline __m512i shift_left(__m512i a, LaneBytes<4>) noexcept {
  return _mm512_maskz_slli_epi32(all_16, a, Count);
}
template <int Count>
[[gnu::always_inline]] inline __m512i shift_left(__m512i a, LaneBytes<8>) noexcept {
  return _mm512_maskz_slli_epi64(all_8, a, Count);
}
template <int Count>
[[gnu::always_inline]] inline __m512i shift_right(__m512i a, LaneBytes<4>) noexcept {
  return _mm512_maskz_srli_epi32(all_16, a, Count);
}
template <int Count>
[[gnu::always_inline]] inline __m512i shift_right(__m512i a, LaneBytes<8>) noexcept {
  return _mm512_maskz_srli_epi64(all_8, a, Count);
}

[[gnu::always_inline]] inline double sum(__m512d a) noexcept {
  const __m256d four =
      _mm256_add_pd(_mm512_maskz_extractf64x4_pd(all_8, a, 0), _mm512_maskz_extractf64x4_pd(all_8, a, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
[[gnu::always_inline]] inline float sum(__m512 a) noexcept {
  const __m512d a64 = _mm512_castps_pd(a);
  const __m256d lower = _mm512_maskz_extractf64x4_pd(all_8, a64, 0);
  const __m256d upper = _mm512_maskz_extractf64x4_pd(all_8, a64, 1);
  const __m256 eight = _mm256_add_ps(_mm256_castpd_ps(lower), _mm256_castpd_ps(upper));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// The sums of 16 registers of 16 floats.
[[gnu::always_inline]] inline __m512 sum_each(const __m512* x) noexcept {
  __m256 halves[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const __m512d both = _mm512_castps_pd(x[i]);
    halves[i] = _mm256_add_ps(_mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(all_8, both, 0)),
                              _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(all_8, both, 1)));
  }
  const __m512d low = _mm512_castpd256_pd512(_mm256_castps_pd(sum_each(halves)));
  return _mm512_castpd_ps(_mm512_maskz_insertf64x4(all_8, low, _mm256_castps_pd(sum_each(halves + 8)), 1));
}

[[gnu::always_inline]] inline __mmask16 first_16(int n) noexcept {
  return static_cast<__mmask16>((1U << static_cast<unsigned>(n)) - 1U);
}
[[gnu::always_inline]] inline __mmask8 first_8(int n) noexcept {
  return static_cast<__mmask8>((1U << static_cast<unsigned>(n)) - 1U);
}
[[gnu::always_inline]] inline __m512 load_n(const float* p, int n) noexcept {
  return _mm512_maskz_loadu_ps(first_16(n), p);
}
[[gnu::always_inline]] inline __m512d load_n(const double* p, int n) noexcept {
  return _mm512_maskz_loadu_pd(first_8(n), p);
}
[[gnu::always_inline]] inline void store_n(float* p, __m512 x, int n) noexcept {
  _mm512_mask_storeu_ps(p, first_16(n), x);
}
[[gnu::always_inline]] inline void store_n(double* p, __m512d x, int n) noexcept {
  _mm512_mask_storeu_pd(p, first_8(n), x);
}
#endif

}  // namespace detail::x86
}  // namespace stepscan::inline STEPSCAN_ISA
