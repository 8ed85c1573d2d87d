#pragma once

#include <cmath>
#include <complex>
#include <stepscan/core/config.hpp>

/// Functions of one complex number that keep their digits near zero, in double: for discretised systems, which are
/// worked out once.
namespace stepscan::inline STEPSCAN_ISA {

/// exp(p + iq) - 1 = expm1(p) cos q - 2 sin(q / 2)^2 + i exp(p) sin q
[[nodiscard]] inline std::complex<double> complex_expm1(std::complex<double> x) noexcept {
  const double p = x.real(), q = x.imag(), half = std::sin(q / 2);
  return {std::expm1(p) * std::cos(q) - 2 * half * half, std::exp(p) * std::sin(q)};
}

/// (exp(x) - 1) / x, which is 1 at 0.
[[nodiscard]] inline std::complex<double> complex_phi1(std::complex<double> x) noexcept {
  return x == 0.0 ? 1.0 : complex_expm1(x) / x;
}

/// Its derivative (exp(x) - phi1(x)) / x, near 0 by the series sum_(k >= 1) k x^(k - 1) / (k + 1)!.
[[nodiscard]] inline std::complex<double> complex_phi1_slope(std::complex<double> x) noexcept {
  if (std::abs(x) > 0.5) return (std::exp(x) - complex_phi1(x)) / x;
  std::complex<double> sum = 0, power = 1;
  double factorial = 2;
  for (int k = 1; k < 16; ++k) {
    sum += power * (k / factorial);
    power *= x;
    factorial *= k + 2;
  }
  return sum;
}

}  // namespace stepscan::inline STEPSCAN_ISA
