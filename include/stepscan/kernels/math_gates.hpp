#pragma once

#include <stepscan/kernels/math_exp.hpp>

/// sigmoid, tanh and silu, the functions in the serial chain of gated recurrences.
///   sigmoid, Exact: 1 / (1 + exp(-x)), accurate in both tails.
///   silu, Exact: with e = exp(-|x|), x (x < 0 ? e : 1) / (1 + e), which lets e become subnormal where x e is not.
///   tanh, Exact: x + x^3 p(x^2) for |x| < 0.55, p minimax of degree 4 (float, 1.1e-9) or 10 (double, 5.9e-19), and
///   1 - 2 / (exp(2 |x|) + 1) with the sign of x beyond.
///   tanh, Fast: x p(x^2) / q(x^2), degrees 3 and 3, minimax for the relative error on |x| <= 7.15, 1.2e-6. The
///   argument of p and q is held there, so that the quotient grows past 1, and the result is cut off at 1. sigmoid,
///   Fast: 1/2 + tanh(x / 2) / 2 from the same polynomials, scaled by powers of two.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Below this, tanh is its polynomial.
inline constexpr double tanh_split = 0.55;

template <class T>
struct TanhConstants;

template <>
struct TanhConstants<float> {
  static constexpr float saturates = 10.0F;
  static constexpr std::array<float, 5> tail = {-0.33333317428215498008F, 0.13332581095035504038F,
                                                -0.053851728844948564273F, 0.02106909968011944125F,
                                                -0.0062703536452779847986F};
};

template <>
struct TanhConstants<double> {
  static constexpr double saturates = 20.0;
  static constexpr std::array<double, 11> tail = {
      -0.33333333333333297762,    0.13333333333326507392,     -0.053968253963692772155,   0.021869488383857417683,
      -0.0088632325677691265514,  0.0035920916809279433896,   -0.0014555405349398279206,  0.00058843473144671871077,
      -0.00023335611874394631845, 0.000083279082394856246352, -0.000019471073489062170704};
};

inline constexpr std::array<float, 4> tanh_fast_numerator = {0.999998788672F, 0.12303298961F, 0.00227612216313F,
                                                             3.91452111e-6F};
inline constexpr std::array<float, 4> tanh_fast_denominator = {1.0F, 0.456357386629F, 0.0210730963415F,
                                                               1.42126448326e-4F};
inline constexpr float tanh_fast_largest_square = 52.0F;

/// factor c[k] / 4^k: the polynomial of (x / 2)^2 as one of x^2.
template <std::size_t N>
constexpr std::array<float, N> of_half_argument(std::array<float, N> c, float factor) {
  for (float& value : c) {
    value *= factor;
    factor *= 0.25F;
  }
  return c;
}

inline constexpr auto sigmoid_fast_numerator = of_half_argument(tanh_fast_numerator, 0.25F);
inline constexpr auto sigmoid_fast_denominator = of_half_argument(tanh_fast_denominator, 1.0F);

/// x p(u) / q(u) with u = min(x^2, largest_square), p and q of degree 3. x is multiplied into p early, which shortens
/// the chain.
template <class V>
[[gnu::always_inline]] inline V odd_rational(V x, float largest_square, const std::array<float, 4>& p,
                                             const std::array<float, 4>& q) noexcept {
  const V u = min(V(largest_square), x * x);
  const V u2 = u * u;
  const V low = fma(x * V(p[1]), u, x * V(p[0]));
  const V high = fma(x * V(p[3]), u, x * V(p[2]));
  return fma(u2, high, low) / polynomial(u, q);
}

template <class V>
[[gnu::always_inline]] inline V tanh_exact(V x) noexcept {
  using T = typename V::value_type;
  using C = TanhConstants<T>;
  const V a = min(V(C::saturates), abs(x));
  const V u = a * a;
  const V near_zero = fma(a * u, polynomial(u, C::tail), a);
  const auto [rounded, r] = reduce_exp(a + a);
  const V far = V(1) - V(2) / fma(exp_reduced(r), power_of_two(rounded), V(1));
  return with_sign(select(a < V(T(tanh_split)), near_zero, far), x);
}

}  // namespace detail

/// 1 / (1 + e^-x).
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V sigmoid(V x) noexcept {
  if constexpr (detail::is_fast<Math, V>) {
    constexpr float largest_square = 4 * detail::tanh_fast_largest_square;
    const V half_tanh =
        detail::odd_rational(x, largest_square, detail::sigmoid_fast_numerator, detail::sigmoid_fast_denominator);
    return clamp(V(0.5F) + half_tanh, 0.0F, 1.0F);
  } else {
    using C = detail::ExpConstants<typename V::value_type>;
    return V(1) / (V(1) + detail::exp_flushed(clamp(V(0) - x, C::lowest_flushed, C::highest)));
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> sigmoid(Simd<float> x) noexcept { return sigmoid<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> sigmoid(Simd<double> x) noexcept { return sigmoid<Exact>(x); }

/// Hyperbolic tangent.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V tanh(V x) noexcept {
  if constexpr (detail::is_fast<Math, V>) {
    return clamp(detail::odd_rational(x, detail::tanh_fast_largest_square, detail::tanh_fast_numerator,
                                      detail::tanh_fast_denominator),
                 -1.0F, 1.0F);
  } else {
    return detail::tanh_exact(x);
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> tanh(Simd<float> x) noexcept { return tanh<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> tanh(Simd<double> x) noexcept { return tanh<Exact>(x); }

/// x sigmoid(x), also called swish.
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V silu(V x) noexcept {
  using T = typename V::value_type;
  using C = detail::ExpConstants<T>;
  if constexpr (detail::is_fast<Math, V>) {
    x = max(V(-C::highest), x);
    return x / (V(1) + detail::exp_fast(V(0) - x));
  } else {
    const V e = detail::exp_in_range(max(V(C::lowest), x | V(T(-0.0))));
    return max(V(C::lowest), x) * select(x < V(0), e, V(1)) / (V(1) + e);
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> silu(Simd<float> x) noexcept { return silu<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> silu(Simd<double> x) noexcept { return silu<Exact>(x); }

}  // namespace stepscan::inline STEPSCAN_ISA
