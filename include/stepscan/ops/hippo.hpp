#pragma once

#include <cmath>
#include <numbers>
#include <stepscan/core/tensor.hpp>

/// HiPPO: systems h' = A h + B u whose state h holds the coefficients of the input's past in a basis of functions
/// ("HiPPO: Recurrent Memory with Optimal Polynomial Projections", arXiv 2008.07669, appendix D; "How to Train Your
/// HiPPO", arXiv 2206.12037). Always in double. Their eigenvalues: ops/hippo_normal.hpp.
namespace stepscan::inline STEPSCAN_ISA {

/// What the past is measured by, and the basis.
enum class HippoMeasure {
  legs,     ///< all of the past, Legendre polynomials that stretch with it
  legt,     ///< a sliding window, Legendre polynomials; halved, as in newer code
  lagt,     ///< a past that fades exponentially, Laguerre polynomials
  fourier,  ///< a sliding window, sines and cosines; the size is even
  lmu,      ///< legt up to a change of basis and of time scale (Legendre memory units)
};

/// A [size, size] and B [size].
struct HippoSystem {
  Tensor<double, Dynamic, Dynamic> A;
  Tensor<double, Dynamic> B;
};

namespace detail {

[[nodiscard]] inline double sign_of_power(Index exponent) noexcept { return exponent % 2 == 0 ? 1 : -1; }

/// A[n, k], or nothing where B has a part in it.
[[nodiscard]] inline double hippo_entry(HippoMeasure measure, Index n, Index k) noexcept {
  const double row = static_cast<double>(2 * n + 1), col = static_cast<double>(2 * k + 1);
  switch (measure) {
    case HippoMeasure::legs:
      return n > k ? -std::sqrt(row * col) : n == k ? -static_cast<double>(n + 1) : 0;
    case HippoMeasure::legt:
      return -0.5 * std::sqrt(row * col) * (n < k ? sign_of_power(k - n) : 1);
    case HippoMeasure::lagt:
      return n > k ? -1 : n == k ? -0.5 : 0;
    case HippoMeasure::lmu:
      return row * (n < k ? -1 : sign_of_power(n - k + 1));
    case HippoMeasure::fourier:
      break;
  }
  // Sines and cosines of frequency m = n / 2 turn into each other.
  if (n / 2 != k / 2 || n == k) return 0;
  return std::numbers::pi * static_cast<double>(n / 2) * (n < k ? -1 : 1);
}

[[nodiscard]] inline double hippo_input(HippoMeasure measure, Index n) noexcept {
  const double row = static_cast<double>(2 * n + 1);
  switch (measure) {
    case HippoMeasure::legs:
      return std::sqrt(row);
    case HippoMeasure::legt:
      return 0.5 * std::sqrt(row);
    case HippoMeasure::lagt:
      return 1;
    case HippoMeasure::lmu:
      return sign_of_power(n) * row;
    case HippoMeasure::fourier:
      break;
  }
  return n == 0 ? 1 : n % 2 == 0 ? std::numbers::sqrt2 : 0;
}

/// Throws ArgumentError.
inline void check_hippo_size(HippoMeasure measure, Index size) {
  if (size < 1 || (measure == HippoMeasure::fourier && size % 2 != 0)) {
    fail<ArgumentError>(std::string("hippo: expected a state size of at least 1") +
                        (measure == HippoMeasure::fourier ? ", and an even one, for fourier" : "") + ", found " +
                        std::to_string(size));
  }
}

}  // namespace detail

/// With n and k from 0:
///   legs     A[n, k] = -sqrt((2n+1)(2k+1)) for n > k, -(n+1) for n = k, 0 above;    B[n] = sqrt(2n+1)
///   legt     A[n, k] = -1/2 sqrt((2n+1)(2k+1)) times (-1)^(n-k) for n < k;          B[n] = 1/2 sqrt(2n+1)
///   lagt     A[n, k] = -1 for n > k, -1/2 for n = k, 0 above;                       B[n] = 1
///   fourier  A = R - B B^T, R[2m, 2m+1] = -pi m, R[2m+1, 2m] = pi m;                B = 1, 0, sqrt 2, 0, sqrt 2, ...
///   lmu      A[n, k] = (2n+1) times -1 for n < k, (-1)^(n-k+1) elsewhere;           B[n] = (-1)^n (2n+1)
/// Throws ArgumentError for sizes below 1, and odd ones of fourier.
[[nodiscard]] inline HippoSystem hippo(HippoMeasure measure, Index size) {
  detail::check_hippo_size(measure, size);
  HippoSystem system{Tensor<double, Dynamic, Dynamic>(size, size), Tensor<double, Dynamic>(size)};
  for (Index n = 0; n < size; ++n) system.B[n] = detail::hippo_input(measure, n);
  for (Index n = 0; n < size; ++n) {
    for (Index k = 0; k < size; ++k) {
      system.A(n, k) = detail::hippo_entry(measure, n, k);
      if (measure == HippoMeasure::fourier) system.A(n, k) -= system.B[n] * system.B[k];
    }
  }
  return system;
}

/// How many rows P has for which A + P^T P is normal; 0 for lmu, which has none.
[[nodiscard]] constexpr Index hippo_rank(HippoMeasure measure) noexcept {
  return measure == HippoMeasure::lmu ? 0 : measure == HippoMeasure::legt ? 2 : 1;
}

/// P [rank, size] such that A + P^T P is normal; rows behind the measure's own are zero:
///   legs sqrt(n + 1/2),   legt two rows, sqrt(n + 1/2) at odd and at even n,   lagt sqrt(1/2),   fourier B
/// Throws ArgumentError when the measure needs more rows, or has no such P.
[[nodiscard]] inline Tensor<double, Dynamic, Dynamic> hippo_low_rank(HippoMeasure measure, Index size, Index rank) {
  detail::check_hippo_size(measure, size);
  const Index least = hippo_rank(measure);
  if (least == 0 || rank < least) {
    fail<ArgumentError>(least == 0 ? "hippo: expected a measure with a normal-plus-low-rank form, found lmu"
                                   : "hippo: expected a rank of at least " + std::to_string(least) + ", found " +
                                         std::to_string(rank));
  }
  Tensor<double, Dynamic, Dynamic> P(rank, size);
  for (Index n = 0; n < size; ++n) {
    if (measure == HippoMeasure::legs) P(0, n) = std::sqrt(static_cast<double>(n) + 0.5);
    if (measure == HippoMeasure::legt)
      P(n % 2 == 0 ? 1 : 0, n) = std::sqrt(0.5) * std::sqrt(static_cast<double>(2 * n + 1));
    if (measure == HippoMeasure::lagt) P(0, n) = std::sqrt(0.5);
    if (measure == HippoMeasure::fourier) P(0, n) = detail::hippo_input(measure, n);
  }
  return P;
}

}  // namespace stepscan::inline STEPSCAN_ISA
