#pragma once

#include <stepscan/kernels/math_exp.hpp>

/// gelu(x) = x Phi(x), Phi the standard normal distribution function (the exact gelu, not its tanh approximation).
///   Exact: Phi(-a) = exp(-a^2 / 2) w(a) for a = |x|, Phi(a) = 1 - Phi(-a). w(a) = erfcx(a / sqrt 2) / 2 is smooth:
///   minimax p(a) / q(a) of degrees 4 and 5 on [0, 14.5] (float, 6.2e-9), 10 and 11 on [0, 39] (double, 9.4e-19). The
///   exponent needs more digits than one number has: a = b + c with b half as long, so that b^2 is exact and
///   a^2 = b^2 + c (a + b).
///   Fast: Phi(x) - 1/2 = x p(x^2) / q(x^2), degrees 5 and 3, minimax on |x| <= 5.1, 9.6e-7, cut off
///   at 1/2, which it passes at 4.91.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class T>
struct NormalTail;

template <>
struct NormalTail<float> {
  static constexpr float negligible = 14.5F;  ///< Phi(-a) underflows from here on
  static constexpr std::array<float, 5> numerator = {0.5F, 0.437595728264F, 0.182690690465F, 0.0404419941128F,
                                                     0.00408562750133F};
  static constexpr std::array<float, 6> denominator = {
      1.0F, 1.67307630156F, 1.20029920752F, 0.468026409376F, 0.101379624242F, 0.0102410269F};
};

template <>
struct NormalTail<double> {
  static constexpr double negligible = 39.0;
  static constexpr std::array<double, 11> numerator = {0.5,
                                                       0.8277283137695151924019,
                                                       0.6792981741639302189678,
                                                       0.3571019597280610350451,
                                                       0.1319255091705040508411,
                                                       0.03562617267410632586619,
                                                       0.007112561987969038867754,
                                                       0.001037878554656845070312,
                                                       0.0001063448773407399676247,
                                                       0.000006957943716819861409347,
                                                       2.234767231421387332241e-7};
  static constexpr std::array<double, 12> denominator = {1.0,
                                                         2.453341188341895879431,
                                                         2.816079404887607526569,
                                                         2.000401124707637715049,
                                                         0.979394840899914049179,
                                                         0.3479892207112381160059,
                                                         0.09186826581037746540233,
                                                         0.01809399570525422626967,
                                                         0.002619016709396120840252,
                                                         0.0002671272494742164539215,
                                                         0.00001744097845390194891028,
                                                         5.60173072949839138592e-7};
};

inline constexpr std::array<float, 6> normal_fast_numerator = {
    0.398942663555F, 0.0237519944247F, 0.00358136049368F, 1.48192121592e-5F, 3.44686691163e-7F, -3.89744364302e-9F};
inline constexpr std::array<float, 4> normal_fast_denominator = {1.0F, 0.226215810665F, 0.0216563835251F,
                                                                 9.85703146178e-4F};
inline constexpr float normal_fast_largest_square = 25.0F;

/// exp(-a^2 / 2) for 0 <= a <= negligible, or NaN.
template <class V>
[[gnu::always_inline]] inline V exp_of_half_square(V a) noexcept {
  using T = typename V::value_type;
  using U = BitsOf<T>;
  constexpr U upper_half = ~((U{1} << (mantissa_bits<T> / 2 + 1)) - 1);
  const V b = bit_cast_lanes<T>(bit_cast_lanes<U>(a) & Simd<U>(upper_half));
  const V high = b * b * V(T(-0.5));
  const V low = (a - b) * (a + b) * V(T(-0.5));
  auto [rounded, r] = reduce_exp(high, low);
  return scale(exp_reduced(r), rounded);
}

/// Phi(-a) for 0 <= a <= negligible, or NaN.
template <class V>
[[gnu::always_inline]] inline V normal_tail(V a) noexcept {
  using C = NormalTail<typename V::value_type>;
  return exp_of_half_square(a) * (horner(a, C::numerator) / horner(a, C::denominator));
}

}  // namespace detail

/// x Phi(x).
template <Accuracy Math, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V gelu(V x) noexcept {
  if constexpr (detail::is_fast<Math, V>) {
    const V u = min(V(detail::normal_fast_largest_square), x * x);
    const V centred = x * detail::polynomial(u, detail::normal_fast_numerator) /
                      detail::polynomial(u, detail::normal_fast_denominator);
    return max(V(std::numeric_limits<float>::lowest()), x) * (V(0.5F) + clamp(centred, -0.5F, 0.5F));
  } else {
    using C = detail::NormalTail<typename V::value_type>;
    const V tail = detail::normal_tail(min(V(C::negligible), abs(x)));
    return max(V(-C::negligible), x) * select(x < V(0), tail, V(1) - tail);
  }
}
[[nodiscard, gnu::always_inline]] inline Simd<float> gelu(Simd<float> x) noexcept { return gelu<Exact>(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> gelu(Simd<double> x) noexcept { return gelu<Exact>(x); }

}  // namespace stepscan::inline STEPSCAN_ISA
