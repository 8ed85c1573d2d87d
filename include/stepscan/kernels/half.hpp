#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <stepscan/kernels/simd.hpp>

/// Two-byte floating point numbers for storage; arithmetic is done in float.
namespace stepscan::inline STEPSCAN_ISA {

/// IEEE 754 binary16: 1 sign, 5 exponent and 10 mantissa bits. Largest 65504, smallest normal 2^-14, smallest 2^-24.
struct Half {
  std::uint16_t bits;

  Half() = default;
  /// Rounds to nearest, ties to even; from 65520 on to infinity. NaN stays NaN.
  explicit constexpr Half(float value) noexcept;
  /// Exact. A signalling NaN becomes quiet.
  explicit constexpr operator float() const noexcept;
  /// The number with these 16 bits.
  [[nodiscard]] static constexpr Half from_bits(std::uint16_t bits) noexcept;
};

/// The upper half of a float: 1 sign, 8 exponent and 7 mantissa bits.
struct BFloat16 {
  std::uint16_t bits;

  BFloat16() = default;
  /// Rounds to nearest, ties to even. NaN stays NaN.
  explicit constexpr BFloat16(float value) noexcept;
  /// Exact.
  explicit constexpr operator float() const noexcept;
  /// The number with these 16 bits.
  [[nodiscard]] static constexpr BFloat16 from_bits(std::uint16_t bits) noexcept;
};

constexpr Half::Half(float value) noexcept {
  const std::uint32_t pattern = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (pattern >> 16) & 0x8000U;
  const std::uint32_t magnitude = pattern & 0x7FFFFFFFU;
  constexpr std::uint32_t float_infinity = 0x7F800000U;
  constexpr std::uint32_t rounds_to_infinity = 0x477FF000U;  // 65520
  constexpr std::uint32_t smallest_normal = 0x38800000U;     // 2^-14
  constexpr std::uint32_t exponent_shift = (127U - 15U) << 23;
  std::uint32_t result = 0;
  if (magnitude > float_infinity) {
    result = 0x7E00U | ((magnitude >> 13) & 0x3FFU);
  } else if (magnitude >= rounds_to_infinity) {
    result = 0x7C00U;
  } else if (magnitude < smallest_normal) {
    // The last bit of 0.5 + |value| is worth 2^-24, as is the last bit of a subnormal half.
    result = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
  } else {
    result = (magnitude - exponent_shift + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
  }
  bits = static_cast<std::uint16_t>(sign | result);
}

constexpr Half::operator float() const noexcept {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
  const std::uint32_t magnitude = std::uint32_t{bits & 0x7FFFU} << 13;
  constexpr std::uint32_t infinity = 0x7C00U << 13;
  constexpr std::uint32_t smallest_normal = 0x0400U << 13;
  std::uint32_t result = magnitude + ((127U - 15U) << 23);
  if (magnitude >= infinity) {
    result = magnitude | 0x7F800000U | (magnitude > infinity ? 0x00400000U : 0U);
  } else if (magnitude < smallest_normal) {
    result = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude >> 13) * 0x1p-24F);
  }
  return std::bit_cast<float>(sign | result);
}

constexpr Half Half::from_bits(std::uint16_t bits) noexcept {
  Half result(0.0F);
  result.bits = bits;
  return result;
}

constexpr BFloat16::BFloat16(float value) noexcept {
  const std::uint32_t pattern = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (pattern & 0x7FFFFFFFU) > 0x7F800000U;
  bits = static_cast<std::uint16_t>(is_nan ? (pattern >> 16) | 0x0040U
                                           : (pattern + 0x7FFFU + ((pattern >> 16) & 1U)) >> 16);
}

constexpr BFloat16::operator float() const noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

constexpr BFloat16 BFloat16::from_bits(std::uint16_t bits) noexcept {
  BFloat16 result(0.0F);
  result.bits = bits;
  return result;
}

namespace detail {

template <class Stored>
[[nodiscard]] Simd<float> convert_each(const Stored* p, Index n) noexcept {
  alignas(sizeof(Simd<float>)) float buffer[static_cast<std::size_t>(simd_width<float>)] = {};
  for (Index i = 0; i < n; ++i) buffer[i] = static_cast<float>(p[i]);
  return Simd<float>::load_aligned(buffer);
}

}  // namespace detail

/// Loads simd_width<float> numbers from memory of any alignment and converts them, exactly.
[[nodiscard, gnu::always_inline]] inline Simd<float> load_as_float(const Half* p) noexcept {
#if defined(__AVX512F__)
  return Simd<float>(
      _mm512_maskz_cvtph_ps(detail::x86::all_16, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif defined(__F16C__)
  return Simd<float>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  return detail::convert_each(p, simd_width<float>);
#endif
}

[[nodiscard, gnu::always_inline]] inline Simd<float> load_as_float(const BFloat16* p) noexcept {
#if defined(__AVX512F__)
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(detail::x86::all_16, narrow);
  return Simd<float>(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(detail::x86::all_16, wide, 16)));
#elif defined(__AVX2__)
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return Simd<float>(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
#elif defined(__SSE2__) && !defined(__AVX__)
  const __m128i narrow = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return Simd<float>(_mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), narrow)));
#else
  return detail::convert_each(p, simd_width<float>);
#endif
}

/// Loads and converts the first n lanes, 0 <= n <= width, and zero in the others. Touches no memory past p[n - 1].
[[nodiscard]] inline Simd<float> load_as_float_n(const Half* p, Index n) noexcept { return detail::convert_each(p, n); }
[[nodiscard]] inline Simd<float> load_as_float_n(const BFloat16* p, Index n) noexcept {
  return detail::convert_each(p, n);
}

/// What numbers of S can be kept as: themselves, or float in 16 bits.
template <class T, class S>
concept StoredFor = std::same_as<T, S> ||
    (std::same_as<S, float> && (std::same_as<T, Half> || std::same_as<T, BFloat16>));

/// A register of S from numbers as they are kept.
template <class S, StoredFor<S> Stored>
[[nodiscard, gnu::always_inline]] inline Simd<S> load_stored(const Stored* p) noexcept {
  if constexpr (std::same_as<S, Stored>) {
    return load(p);
  } else {
    return load_as_float(p);
  }
}

/// The first n lanes of one, and zero in the others.
template <class S, StoredFor<S> Stored>
[[nodiscard]] inline Simd<S> load_stored_n(const Stored* p, Index n) noexcept {
  if constexpr (std::same_as<S, Stored>) {
    return load_n(p, n);
  } else {
    return load_as_float_n(p, n);
  }
}

/// Numbers from one type into another, rounded to nearest where it is narrower.
template <class From, class To>
void convert_row(const From* from, Index n, To* to) noexcept {
  for (Index i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

}  // namespace stepscan::inline STEPSCAN_ISA
