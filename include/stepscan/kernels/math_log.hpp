#pragma once

#include <stepscan/kernels/math_exp.hpp>

/// log1p, softplus and logsigmoid. With k such that 1 + x is in [0.75, 1.5) 2^k and f = (1 + x) / 2^k - 1, which
/// x / 2^k + (1 / 2^k - 1) gives with one rounding, log1p(x) = k ln 2 + log1p(f), f in [-1/4, 1/2):
///   float:  log1p(f) = f + f^2 (-1/2 + f p(f)), p minimax of degree 7, error 4.9e-9 relative to log1p(f);
///   double: with s = f / (2 + f), log1p(f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + s^2 p(s^2))), p minimax of degree 6,
///           error 1.5e-17.
/// softplus(x) = max(x, 0) + log1p(exp(-|x|)) has x in [0, 1] there, so k is 0 or 1. Fast takes log1p(e) = e p(e) with
/// p minimax of degree 7 on [0, 1], error 2e-7.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

inline constexpr std::array<float, 8> log1p_tail = {0.333334494173F,  -0.25000096929F,  0.199908461106F,
                                                    -0.166472456494F, 0.14478502929F,   -0.131620677714F,
                                                    0.104643190372F,  -0.0450798591521F};
inline constexpr std::array<double, 7> log1p_atanh_tail = {
    0.6666666666667276611697, 0.3999999999613159192477, 0.2857142940067688385632, 0.2222213806222362166428,
    0.1818637404383782924878, 0.1524982919248440125831, 0.1537098492784721601227};
inline constexpr std::array<float, 8> log1p_unit_fast = {0.999999805689F,  -0.499974054634F,  0.332754809971F,
                                                         -0.244954707949F, 0.177452641916F,   -0.107682033075F,
                                                         0.0440898509044F, -0.00853926694809F};

/// log1p(f) for f in [-1/4, 1/2).
template <class V>
[[gnu::always_inline]] inline V log1p_reduced(V f) noexcept {
  if constexpr (std::same_as<typename V::value_type, float>) {
    return fma(f * f, fma(f, polynomial(f, log1p_tail), V(-0.5F)), f);
  } else {
    const V s = f / (V(2) + f);
    const V s2 = s * s;
    const V half_square = V(0.5) * f * f;
    return f - (half_square - s * fma(s2, polynomial(s2, log1p_atanh_tail), half_square));
  }
}

/// The k of 1 + x, and 2^(2 - k), which is a normal number for every k.
template <class V>
struct LogExponent {
  V k;
  V scale;
};

template <class V>
[[gnu::always_inline]] inline LogExponent<V> log_exponent(V one_plus_x) noexcept {
  using T = typename V::value_type;
  using U = BitsOf<T>;
  constexpr int exponent_offset = std::numeric_limits<T>::max_exponent;
  constexpr U offset = static_cast<U>(exponent_offset) << mantissa_bits<T>;
  constexpr T integer_base = T(std::uint64_t{1} << mantissa_bits<T>);
  const Simd<U> bits = bit_cast_lanes<U>(one_plus_x);
  const Simd<U> k = shift_right<mantissa_bits<T>>(bits + Simd<U>(offset - std::bit_cast<U>(T(0.75))));
  const V k_value =
      bit_cast_lanes<T>(k | Simd<U>(std::bit_cast<U>(integer_base))) - V(integer_base + T(exponent_offset));
  const Simd<U> scale = Simd<U>(std::bit_cast<U>(T(4)) + offset) - shift_left<mantissa_bits<T>>(k);
  return {k_value, bit_cast_lanes<T>(scale)};
}

}  // namespace detail

/// log(1 + x), without cancellation near 0. -infinity at -1, NaN below. Fast is the same as Exact.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V log1p(V x) noexcept {
  using T = typename V::value_type;
  using C = detail::ExpConstants<T>;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const auto [k, scale] = detail::log_exponent(x + V(1));
  const V f = fma(x, scale, scale - V(4)) * V(T(0.25));
  const V reduced = fma(k, V(C::ln2_high), fma(k, V(C::ln2_low), detail::log1p_reduced(f)));
  const V inside = detail::with_sign(reduced, x);
  const V outside = select(x == V(-1), V(-infinity), V(std::numeric_limits<T>::quiet_NaN()));
  return select(x == V(infinity), x, select(x > V(-1), inside, outside));
}
[[nodiscard, gnu::always_inline]] inline Simd<float> log1p(Simd<float> x) noexcept { return log1p<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> log1p(Simd<double> x) noexcept { return log1p<Exact>(x); }

/// The exponential in a softplus, exp(-|x|). Many numbers are faster in two passes, this for all of them and then
/// softplus_from: half as long a chain of operations leaves the processor twice as many numbers at a time.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V softplus_exponential(V x) noexcept {
  using T = typename V::value_type;
  const V minus_abs = x | V(T(-0.0));
  if constexpr (detail::is_fast<Math, V>) {
    return detail::exp_fast(minus_abs);
  } else {
    return detail::exp_flushed(max(V(detail::ExpConstants<T>::lowest_flushed), minus_abs));
  }
}
/// max(x, 0) + log1p(e), e the exponential of x.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V softplus_from(V e, V x) noexcept {
  using T = typename V::value_type;
  const V positive_part = max(V(0), x);
  if constexpr (detail::is_fast<Math, V>) {
    return fma(e, detail::polynomial(e, detail::log1p_unit_fast), positive_part);
  } else {
    const auto upper = e > V(T(0.5));
    const V f = select(upper, fma(e, V(T(0.5)), V(T(-0.5))), e);
    const V offset = select(upper, V(T(0.69314718055994530942)), V(0));
    return (positive_part + offset) + detail::log1p_reduced(f);
  }
}
/// log(1 + e^x) = max(x, 0) + log1p(exp(-|x|)), for every x, without a threshold.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V softplus(V x) noexcept {
  return softplus_from<Math>(softplus_exponential<Math>(x), x);
}
[[nodiscard, gnu::always_inline]] inline Simd<float> softplus(Simd<float> x) noexcept { return softplus<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> softplus(Simd<double> x) noexcept { return softplus<Exact>(x); }

/// log(sigmoid(x)) = -softplus(-x).
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V logsigmoid(V x) noexcept {
  return V(0) - softplus<Math>(V(0) - x);
}
[[nodiscard, gnu::always_inline]] inline Simd<float> logsigmoid(Simd<float> x) noexcept { return logsigmoid<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> logsigmoid(Simd<double> x) noexcept {
  return logsigmoid<Exact>(x);
}

}  // namespace stepscan::inline STEPSCAN_ISA
