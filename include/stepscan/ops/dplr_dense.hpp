#pragma once

#include <stepscan/ops/dense_operators.hpp>
#include <stepscan/ops/dplr_system.hpp>

/// Diagonal plus low rank systems as dense ones: in real numbers, the real parts before the imaginary parts, the step
/// is x' = A x + b u with A block-diagonal plus a matrix of rank 1, A = F - [d p] s^T, s^T x = alpha + beta.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// Doubles of a dense system of so many modes.
[[nodiscard]] constexpr Index dplr_dense_size(Index modes) noexcept { return 4 * modes * modes + 4 * modes + 1; }

/// s^T, one number: of the real part of mode n, or of its imaginary part.
[[nodiscard]] inline double dplr_along(std::complex<double> p, std::complex<double> G, double rho,
                                       bool imaginary) noexcept {
  return imaginary ? 2 * p.imag() * (1 - rho) - 2 * G.imag() : 2 * p.real() * (1 - rho) + 2 * G.real();
}

/// From mode(n), h = dt / 2 and D, in memory for dplr_dense_size doubles.
template <class Mode>
[[nodiscard]] DenseResponse dplr_dense(Index modes, double h, double skip, const Mode& mode, double* memory) noexcept {
  const Index M = 2 * modes;
  double* a = memory;
  double* b = a + M * M;
  double* c = b + M;
  c[M] = skip;
  const DplrSums sums(modes, h, mode);
  const double rho = sums.r * sums.kappa;
  for (Index j = 0; j < modes; ++j) {
    const DplrMode from = mode(j);
    const DplrTerms f(from.lambda, h);
    const std::complex<double> G = sums.r * std::conj(from.p) * f.F;
    const double along_re = dplr_along(from.p, G, rho, false), along_im = dplr_along(from.p, G, rho, true);
    for (Index k = 0; k < modes; ++k) {
      const DplrMode to = mode(k);
      const std::complex<double> dp = DplrTerms(to.lambda, h).d * to.p;
      a[j * M + k] = -along_re * dp.real();
      a[j * M + modes + k] = -along_re * dp.imag();
      a[(modes + j) * M + k] = -along_im * dp.real();
      a[(modes + j) * M + modes + k] = -along_im * dp.imag();
    }
    a[j * M + j] += f.F.real();
    a[j * M + modes + j] += f.F.imag();
    a[(modes + j) * M + j] -= f.F.imag();
    a[(modes + j) * M + modes + j] += f.F.real();
    const std::complex<double> input = 2.0 * f.d * from.b - sums.sigma * f.d * from.p;
    b[j] = input.real();
    b[modes + j] = input.imag();
    c[j] = 2 * from.c.real();
    c[modes + j] = -2 * from.c.imag();
  }
  return {M, 1, a, b, c, c + M};
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
