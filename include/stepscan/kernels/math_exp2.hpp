#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math_exp.hpp>

/// 2^(x y), the decay of a scan whose rate y is kept in units of log2. With n = round(x y) and r = x y - n, in
/// [-1/2, 1/2] and exact where multiply-adds are fused,
///   2^(x y) = 2^n (1 + r p(r)),
/// p the minimax polynomial for the relative error of 2^r - 1: float degree 4, 4.4e-7; double degree 10, 1.8e-17. A
/// decay near one is therefore as exact as its distance from one, and a long product of such decays does not drift.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class T>
struct Exp2Constants;

template <>
struct Exp2Constants<float> {
  static constexpr float limit = 126.0F;
  static constexpr std::array<float, 6> series = {1.0F,
                                                  0.6931471435061586832668F,
                                                  0.240223513431325130221F,
                                                  0.05550500213429321543532F,
                                                  0.009666245425790860786625F,
                                                  0.001333353873223204450861F};
};

template <>
struct Exp2Constants<double> {
  static constexpr double limit = 1022.0;
  static constexpr std::array<double, 12> series = {1.0,
                                                    0.6931471805599453112016,
                                                    0.2402265069591009788842,
                                                    0.0555041086648212365343,
                                                    0.009618129107607065669311,
                                                    0.001333355814653163285928,
                                                    0.000154035304414806799214,
                                                    0.000015252733701214656492,
                                                    0.00000132154427242311275698,
                                                    1.01781212991657044246e-7,
                                                    7.072561701930320513449e-9,
                                                    4.445537228154442733341e-10};
};

}  // namespace detail

/// The largest |x y| of exp2_product_in_range.
template <Scalar T>
inline constexpr T exp2_limit = detail::Exp2Constants<T>::limit;

/// 2^(x y) for |x y| <= exp2_limit, to 3 ulp (2.5 in double, and what x y is rounded by where multiply-adds are not
/// fused). Any number comes out elsewhere.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V exp2_product_in_range(V x, V y) noexcept {
  using T = typename V::value_type;
  using U = detail::BitsOf<T>;
  const V rounded = fma(x, y, V(detail::round_shift<T>));
  const V r = fma(x, y, V(detail::round_shift<T>) - rounded);
  const V power = detail::horner(r, detail::Exp2Constants<T>::series);
  const Simd<U> exponent = detail::shift_left<detail::mantissa_bits<T>>(detail::bit_cast_lanes<U>(rounded));
  return detail::bit_cast_lanes<T>(detail::bit_cast_lanes<U>(power) + exponent);
}

/// 2^(x y) for any x and y, with the bits of exp2_product_in_range where that is right; 0 below the normal numbers,
/// infinity above.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V exp2_product(V x, V y) noexcept {
  using T = typename V::value_type;
  constexpr T ln2 = T(0.69314718055994530942);
  const V exponent = x * y;
  const V beyond = exp(exponent * V(ln2));
  const V flushed = select(beyond < V(std::numeric_limits<T>::min()), V(T(0)), beyond);
  return select(abs(exponent) <= V(exp2_limit<T>), exp2_product_in_range(x, y), flushed);
}

}  // namespace stepscan::inline STEPSCAN_ISA
