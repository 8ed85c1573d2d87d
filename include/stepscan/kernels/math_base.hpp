#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stepscan/kernels/simd.hpp>
#include <utility>

/// What the elementwise functions share: the two accuracies, polynomials, powers of two.
namespace stepscan::inline STEPSCAN_ISA {

/// Accuracy of an elementwise function: a few units in the last place everywhere (see math_error).
struct Exact {};

/// Accuracy of an elementwise function: for float about 1e-6 relative with the shortest dependency chain (see
/// math_error), for double the same as Exact.
struct Fast {};

template <class M>
concept Accuracy = std::same_as<M, Exact> || std::same_as<M, Fast>;

namespace detail {

template <class Math, class V>
inline constexpr bool is_fast{std::same_as<Math, Fast> && std::same_as<typename V::value_type, float>};

/// Bits of the mantissa that are stored.
template <class T>
inline constexpr int mantissa_bits = std::numeric_limits<T>::digits - 1;

/// 3 * 2^(mantissa_bits - 1): adding it to |x| < 2^(mantissa_bits - 2) rounds x to the nearest integer n and leaves n,
/// in two's complement, in the low bits of the sum.
template <class T>
inline constexpr T round_shift = T(3) * T(std::uint64_t{1} << (mantissa_bits<T> - 1));

template <class T>
inline constexpr BitsOf<T> bits_of_one = std::bit_cast<BitsOf<T>>(T(1));

template <std::size_t First, std::size_t Count, class V, class T, std::size_t N>
[[gnu::always_inline]] inline V estrin(const std::array<T, N>& c, V x, V x2, V x4, V x8) noexcept {
  if constexpr (Count == 1) {
    return V(c[First]);
  } else if constexpr (Count == 2) {
    return fma(x, V(c[First + 1]), V(c[First]));
  } else {
    constexpr std::size_t half = Count > 8 ? 8 : Count > 4 ? 4 : 2;
    const V power = half == 8 ? x8 : half == 4 ? x4 : x2;
    return fma(power, estrin<First + half, Count - half>(c, x, x2, x4, x8), estrin<First, half>(c, x, x2, x4, x8));
  }
}

/// c[0] + c[1] x + ... + c[N-1] x^(N-1), N <= 16, by Estrin's scheme: a chain of log2(N) fused multiply-adds.
template <class V, class T, std::size_t N>
[[gnu::always_inline]] inline V polynomial(V x, const std::array<T, N>& c) noexcept {
  static_assert(0 < N && N <= 16);
  const V x2 = x * x;
  const V x4 = x2 * x2;
  return estrin<0, N>(c, x, x2, x4, x4 * x4);
}

/// The same by Horner's scheme: a longer chain, but only the last step rounds by as much as half a unit.
template <class V, class T, std::size_t N>
[[gnu::always_inline]] inline V horner(V x, const std::array<T, N>& c) noexcept {
  const auto chain = [&]<std::size_t... I>(std::index_sequence<I...>) {
    V sum(c[N - 1]);
    ((sum = fma(sum, x, V(c[N - 2 - I]))), ...);
    return sum;
  };
  return chain(std::make_index_sequence<N - 1>{});
}

/// x with the sign bit of y added to it.
template <class V>
[[gnu::always_inline]] inline V with_sign(V x, V y) noexcept {
  return x | sign_bit(y);
}

/// 2^n for the integer n that rounded = n + round_shift holds, while 2^n is a normal number. n = -127 (float) or -1023
/// (double) gives 0, n = 128 or 1024 infinity.
template <class V>
[[gnu::always_inline]] inline V power_of_two(V rounded) noexcept {
  using T = typename V::value_type;
  using U = BitsOf<T>;
  const Simd<U> exponent = shift_left<mantissa_bits<T>>(bit_cast_lanes<U>(rounded));
  return bit_cast_lanes<T>(exponent + Simd<U>(bits_of_one<T>));
}

/// x 2^n, n as in power_of_two but from twice its range: underflows through the subnormal numbers, rounded once, and
/// overflows to infinity.
template <class V>
[[gnu::always_inline]] inline V scale(V x, V rounded) noexcept {
  using T = typename V::value_type;
  using U = BitsOf<T>;
  const Simd<U> n = bit_cast_lanes<U>(rounded);
  const Simd<U> half = shift_right<1>(n);
  const Simd<U> one(bits_of_one<T>);
  const V first = bit_cast_lanes<T>(shift_left<mantissa_bits<T>>(n - half) + one);
  const V second = bit_cast_lanes<T>(shift_left<mantissa_bits<T>>(half) + one);
  return x * first * second;
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
