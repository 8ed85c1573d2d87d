#pragma once

#include <stepscan/kernels/math_base.hpp>

/// cos(pi x y) and sin(pi x y), the rotation of a complex decay whose rate y is kept in half turns. With n =
/// round(x y) and r = x y - n, in [-1/2, 1/2] and exact where multiply-adds are fused,
///   cos(pi x y) = (-1)^n p(r^2),   sin(pi x y) = (-1)^n r q(r^2),
/// p and q Chebyshev interpolants: float of degree 5 and 4, 9e-10 and 7e-9; double of degree 9 and 8, 3e-20 and 4e-19.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class T>
struct HalfTurnConstants;

template <>
struct HalfTurnConstants<float> {
  static constexpr std::array<float, 6> cos_series = {1.0F,           -4.9348021970F, 4.0587114147F,
                                                      -1.3352399607F, 0.23507436832F, -0.024627111595F};
  static constexpr std::array<float, 5> sin_series = {3.1415926401F, -5.1677100767F, 2.5500773865F, -0.59829041128F,
                                                      0.077655912276F};
};

template <>
struct HalfTurnConstants<double> {
  static constexpr std::array<double, 10> cos_series = {1.0,
                                                        -4.93480220054467930931,
                                                        4.05871212641676815181,
                                                        -1.33526276885458241522,
                                                        0.235330630358602332119,
                                                        -0.0258068913840272848118,
                                                        0.00192957424016711512951,
                                                        -0.000104637634340725988952,
                                                        0.00000430120372085161434183,
                                                        -1.34790548363581181855e-7};
  static constexpr std::array<double, 9> sin_series = {
      3.14159265358979323781,     -5.16771278004996960774,      2.55016403987730047447,
      -0.599264529318944681317,   0.0821458865731028950196,     -0.00737043050591694340469,
      0.000466299816189839380139, -0.0000219034970746260171915, 7.69782676822419064539e-7};
};

}  // namespace detail

/// {cos(pi x y), sin(pi x y)}, each to 2 units in the last place of 1, and what x y is rounded by where multiply-adds
/// are not fused. For |x y| >= 2^21 (2^50 in double), where neighbouring numbers are turns apart, some numbers in
/// [-1, 1].
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline std::array<V, 2> half_turns(V x, V y) noexcept {
  using T = typename V::value_type;
  using U = detail::BitsOf<T>;
  using Constants = detail::HalfTurnConstants<T>;
  const V rounded = fma(x, y, V(detail::round_shift<T>));
  const V r = clamp(fma(x, y, V(detail::round_shift<T>) - rounded), T(-0.5), T(0.5));
  const V r2 = r * r;
  const V sign = detail::bit_cast_lanes<T>(detail::shift_left<8 * sizeof(T) - 1>(detail::bit_cast_lanes<U>(rounded)));
  return {detail::horner(r2, Constants::cos_series) ^ sign, (r * detail::horner(r2, Constants::sin_series)) ^ sign};
}

}  // namespace stepscan::inline STEPSCAN_ISA
