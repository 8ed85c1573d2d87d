#pragma once

#include <stepscan/kernels/math_base.hpp>

/// exp and expm1. With n = round(x / ln 2) and r = x - n ln 2 in [-ln2/2, ln2/2],
///   exp(x)   = 2^n exp(r),                     exp(r) = 1 + (r + r^2 q(r)),
///   expm1(x) = 2^n (exp(r) - 1) + (2^n - 1),
/// ln 2 in two parts, the first short enough for n ln2_high to be exact. q is the minimax polynomial for the relative
/// error of exp(r) - 1; its error, relative to exp(r) - 1:
///   float, Exact: degree 4, 1.3e-8;   float, Fast: degree 3, 4.5e-7;   double: degree 9, 1.8e-17.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float log2_e = 1.4426950408889634F;
  static constexpr float ln2_high = 0.693359375F;
  static constexpr float ln2_low = -2.12194440e-4F;
  static constexpr float highest = 89.0F;          ///< exp gives infinity
  static constexpr float lowest = -104.0F;         ///< exp gives 0
  static constexpr float lowest_flushed = -87.9F;  ///< exp_flushed gives 0
  static constexpr float minus_one = -20.0F;       ///< expm1 gives -1
  static constexpr std::array<float, 5> tail = {0.49999998149669743898F, 0.16666543424359332268F,
                                                0.041667200697934107655F, 0.0083665471283322893858F,
                                                0.0013882517287017496196F};
  static constexpr std::array<float, 4> tail_fast = {0.49999401427322601832F, 0.16666831386856743591F,
                                                     0.041872773685441434154F, 0.008338070071412615054F};
};

template <>
struct ExpConstants<double> {
  static constexpr double log2_e = 1.4426950408889634074;
  static constexpr double ln2_high = 6.93145751953125e-1;
  static constexpr double ln2_low = 1.42860682030941723212e-6;
  static constexpr double highest = 710.0;
  static constexpr double lowest = -746.0;
  static constexpr double lowest_flushed = -708.9;
  static constexpr double minus_one = -40.0;
  static constexpr std::array<double, 10> tail = {
      0.50000000000000052,      0.16666666666666588966,   0.041666666666576467456,  0.008333333333389735813,
      0.001388888893166718655,  1.9841269718703172413e-4, 2.4801505142652174312e-5, 2.7557407694604704655e-6,
      2.7626092837958164296e-7, 2.5053772548703134639e-8};
};

/// x + low = n ln 2 + r.
template <class V>
struct ExpReduction {
  V rounded;  ///< n + round_shift
  V r;
};

template <class V>
[[gnu::always_inline]] inline ExpReduction<V> reduce_exp(V x) noexcept {
  using T = typename V::value_type;
  using C = ExpConstants<T>;
  const V rounded = fma(x, V(C::log2_e), V(round_shift<T>));
  const V n = rounded - V(round_shift<T>);
  return {rounded, fma(n, V(-C::ln2_low), fma(n, V(-C::ln2_high), x))};
}

/// For an argument x + low in two parts, |low| much smaller than |x|.
template <class V>
[[gnu::always_inline]] inline ExpReduction<V> reduce_exp(V x, V low) noexcept {
  using T = typename V::value_type;
  using C = ExpConstants<T>;
  const V rounded = fma(x + low, V(C::log2_e), V(round_shift<T>));
  const V n = rounded - V(round_shift<T>);
  return {rounded, fma(n, V(-C::ln2_low), fma(n, V(-C::ln2_high), x)) + low};
}

/// exp(r) for a reduced r.
template <class V>
[[gnu::always_inline]] inline V exp_reduced(V r) noexcept {
  return fma(r * r, polynomial(r, ExpConstants<typename V::value_type>::tail), r) + V(1);
}

/// exp(x) for lowest <= x <= highest, or NaN.
template <class V>
[[gnu::always_inline]] inline V exp_in_range(V x) noexcept {
  const auto [rounded, r] = reduce_exp(x);
  return scale(exp_reduced(r), rounded);
}

/// exp(x) for lowest_flushed <= x <= highest, or NaN. 0 where the result is below the normal numbers, infinity from
/// exp(x) > 2^127.5 (2^1023.5) on.
template <class V>
[[gnu::always_inline]] inline V exp_flushed(V x) noexcept {
  const auto [rounded, r] = reduce_exp(x);
  return exp_reduced(r) * power_of_two(rounded);
}

/// One part of ln 2 is enough: n times its error stays below 2.5e-7.
template <class V>
[[gnu::always_inline]] inline V exp_fast(V x) noexcept {
  using C = ExpConstants<float>;
  x = clamp(x, C::lowest_flushed, C::highest);
  const V rounded = fma(x, V(C::log2_e), V(round_shift<float>));
  const V n = rounded - V(round_shift<float>);
  const V r = fma(n, V(-0.693147180559945F), x);
  return fma(r * r, polynomial(r, C::tail_fast), V(1) + r) * power_of_two(rounded);
}

/// 2^n (exp(r) - 1) + (2^n - 1), computed at half size so that n = 128 (1024) overflows only where the result does.
/// The sign of a zero is lost.
template <class V>
[[gnu::always_inline]] inline V expm1_unsigned_zero(V x, const auto& tail) noexcept {
  using T = typename V::value_type;
  using C = ExpConstants<T>;
  const auto [rounded, r] = reduce_exp(clamp(x, C::minus_one, C::highest));
  const V half_power = power_of_two(rounded - V(1));
  const V linear = fma(half_power, r, half_power - V(T(0.5)));
  const V half = fma(half_power * (r * r), polynomial(r, tail), linear);
  return half + half;
}

}  // namespace detail

/// e^x. Exact: subnormal results are correct. Fast: results below the smallest normal number are 0, and above 2.4e38
/// infinity.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V exp(V x) noexcept {
  if constexpr (detail::is_fast<Math, V>) {
    return detail::exp_fast(x);
  } else {
    using C = detail::ExpConstants<typename V::value_type>;
    return detail::exp_in_range(clamp(x, C::lowest, C::highest));
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> exp(Simd<float> x) noexcept { return exp<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> exp(Simd<double> x) noexcept { return exp<Exact>(x); }

/// e^x - 1, without cancellation near 0.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V expm1(V x) noexcept {
  using C = detail::ExpConstants<typename V::value_type>;
  if constexpr (detail::is_fast<Math, V>) {
    return detail::with_sign(detail::expm1_unsigned_zero(x, C::tail_fast), x);
  } else {
    return detail::with_sign(detail::expm1_unsigned_zero(x, C::tail), x);
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> expm1(Simd<float> x) noexcept { return expm1<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> expm1(Simd<double> x) noexcept { return expm1<Exact>(x); }

}  // namespace stepscan::inline STEPSCAN_ISA
