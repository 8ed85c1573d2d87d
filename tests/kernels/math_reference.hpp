#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/kernels/math.hpp>
#include <type_traits>
#include <vector>

/// What the elementwise functions are held against: the exact functions in a wider type, and the error in ulp.
namespace kernels_math {

using namespace stepscan;

/// The exact functions in a wider type R: double for float, long double for double.
namespace reference {

template <class R>
R exp(R x) {
  return std::exp(x);
}
template <class R>
R expm1(R x) {
  return std::expm1(x);
}
template <class R>
R log1p(R x) {
  return std::log1p(x);
}
template <class R>
R sigmoid(R x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
template <class R>
R tanh(R x) {
  return std::tanh(x);
}
template <class R>
R softplus(R x) {
  return std::isnan(x) ? x : std::fmax(x, R(0)) + std::log1p(std::exp(-std::abs(x)));
}
template <class R>
R logsigmoid(R x) {
  return -softplus(-x);
}
template <class R>
R silu(R x) {
  return std::isinf(x) && x < 0 ? -R(0) : x * sigmoid(x);
}

/// x erfc(-x / sqrt 2) / 2. The rounding of y = -x / sqrt 2 counts 2 y^2 times in erfc(y), so it is corrected to first
/// order: erfc'(y) = -2 / sqrt(pi) exp(-y^2).
template <class R>
R gelu(R x) {
  if (std::isinf(x)) return x < 0 ? -R(0) : x;
  const R high = R(0.70710678118654752440084436210484903928L);
  const R low = std::fma(-high, high, R(0.5)) / (2 * high);
  const R y = -x * high;
  const R rounding = -std::fma(x, high, y) - x * low;
  const R slope = -R(1.1283791670955125738961589031215451717L) * std::exp(-y * y);
  return R(0.5) * x * (std::erfc(y) + (std::abs(y) < 200 ? slope * rounding : R(0)));
}

}  // namespace reference

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;

template <class T>
struct Function {
  const char* name;
  Simd<T> (*batch)(Simd<T>);
  Wide<T> (*exact)(Wide<T>);
  MathError stated;
  double overflow;  ///< infinity is right where the exact result is larger
};

/// The functions of one accuracy, as plain functions on registers.
template <class Math, class V>
struct Batch {
  static V exp(V x) { return stepscan::exp<Math>(x); }
  static V expm1(V x) { return stepscan::expm1<Math>(x); }
  static V log1p(V x) { return stepscan::log1p<Math>(x); }
  static V sigmoid(V x) { return stepscan::sigmoid<Math>(x); }
  static V tanh(V x) { return stepscan::tanh<Math>(x); }
  static V softplus(V x) { return stepscan::softplus<Math>(x); }
  static V logsigmoid(V x) { return stepscan::logsigmoid<Math>(x); }
  static V silu(V x) { return stepscan::silu<Math>(x); }
  static V gelu(V x) { return stepscan::gelu<Math>(x); }
};

template <class Math, class T>
std::vector<Function<T>> functions() {
  using B = Batch<Math, Simd<T>>;
  using R = Wide<T>;
  constexpr MathErrors stated = math_errors<Math, T>;
  constexpr double largest = std::numeric_limits<T>::max();
  return {{"exp", B::exp, reference::exp<R>, stated.exp, stated.exp_overflow},
          {"expm1", B::expm1, reference::expm1<R>, stated.expm1, stated.exp_overflow},
          {"log1p", B::log1p, reference::log1p<R>, stated.log1p, largest},
          {"sigmoid", B::sigmoid, reference::sigmoid<R>, stated.sigmoid, largest},
          {"tanh", B::tanh, reference::tanh<R>, stated.tanh, largest},
          {"softplus", B::softplus, reference::softplus<R>, stated.softplus, largest},
          {"logsigmoid", B::logsigmoid, reference::logsigmoid<R>, stated.logsigmoid, largest},
          {"silu", B::silu, reference::silu<R>, stated.silu, largest},
          {"gelu", B::gelu, reference::gelu<R>, stated.gelu, largest}};
}

template <class T>
T apply(const Function<T>& f, T x) {
  T lanes[static_cast<std::size_t>(simd_width<T>)];
  store(lanes, f.batch(Simd<T>(x)));
  return lanes[0];
}

/// Error of y in units of the spacing of T at the exact result r, after the stated absolute error is taken off.
template <class T>
double error_in_ulp(const Function<T>& f, T y, Wide<T> r) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (std::isnan(r) || std::isnan(y)) return std::isnan(r) && std::isnan(y) ? 0.0 : infinite;
  if (std::isinf(y)) {
    const bool may_overflow = std::abs(r) > static_cast<Wide<T>>(f.overflow);
    return may_overflow && std::signbit(r) == std::signbit(y) ? 0.0 : infinite;
  }
  if (std::isinf(r)) return infinite;
  const Wide<T> error = std::abs(static_cast<Wide<T>>(y) - r) - static_cast<Wide<T>>(f.stated.absolute);
  if (!(error > 0)) return 0.0;
  const int exponent = std::max(std::ilogb(r), std::numeric_limits<T>::min_exponent - 1);
  return static_cast<double>(std::ldexp(error, std::numeric_limits<T>::digits - 1 - exponent));
}

}  // namespace kernels_math
