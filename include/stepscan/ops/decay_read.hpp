#pragma once

#include <algorithm>
#include <cmath>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math.hpp>
#include <type_traits>

/// What is read from the state of an attention: feature maps of queries and keys, and the denominator.
namespace stepscan::inline STEPSCAN_ISA {

/// phi(x) = x.
struct IdentityMap {
  template <SimdRegister V>
  static V value(V x) noexcept {
    return x;
  }
  template <SimdRegister V>
  static V derivative(V) noexcept {
    return V(1);
  }
};

/// phi(x) = elu(x) + 1: x + 1 above 0, exp(x) below, so that all products are positive.
struct EluPlusOne {
  template <SimdRegister V>
  static V value(V x) noexcept {
    return select(x > V(0), x + V(1), exp(min(x, V(0))));
  }
  template <SimdRegister V>
  static V derivative(V x) noexcept {
    return select(x > V(0), V(1), exp(min(x, V(0))));
  }
};

/// y = numerator.
struct PlainRead {
  static constexpr bool normalised = false;
};

/// y = numerator / (denominator + eps).
struct SumRead {
  static constexpr bool normalised = true;

  template <Scalar S>
  static S divisor(S denominator, S, S eps) noexcept {
    return denominator + eps;
  }
  /// d divisor / d denominator.
  template <Scalar S>
  static S slope(S, S) noexcept {
    return 1;
  }
};

/// y = numerator / (max(|denominator|, exp(-m)) + eps), the numerator and denominator being exp(-m) times the true
/// ones (mLSTM). exp(-m) stays below the largest number.
struct BoundedRead {
  static constexpr bool normalised = true;

  template <Scalar S>
  static S bound(S maximum) noexcept {
    constexpr S most = std::is_same_v<S, float> ? S(88) : S(709);
    return std::exp(std::min(-maximum, most));
  }
  template <Scalar S>
  static S divisor(S denominator, S maximum, S eps) noexcept {
    return std::max(std::abs(denominator), bound(maximum)) + eps;
  }
  template <Scalar S>
  static S slope(S denominator, S maximum) noexcept {
    if (std::abs(denominator) < bound(maximum)) return 0;
    return denominator < 0 ? S{-1} : S{1};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
