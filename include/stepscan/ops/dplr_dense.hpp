#pragma once

#include <stepscan/ops/dense_operators.hpp>
#include <stepscan/ops/dplr_system.hpp>

/// Diagonal plus low rank systems in real numbers, the real parts of a state before its imaginary parts: a step is
/// x' = A x + b u with A block-diagonal plus a matrix of rank 1, A = F - [d p] s^T, s^T x = alpha + beta. Also as dense
/// systems.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// s^T, one number: of the real part of mode n, or of its imaginary part.
[[nodiscard]] inline double dplr_along(std::complex<double> p, std::complex<double> G, double rho,
                                       bool imaginary) noexcept {
  return imaginary ? 2 * p.imag() * (1 - rho) - 2 * G.imag() : 2 * p.real() * (1 - rho) + 2 * G.real();
}

/// One feature, vectors of M = 2 modes numbers each.
struct DplrVectors {
  Index modes;
  double* F;
  double* push;   ///< d p
  double* along;  ///< s
  double* b;
  double* c;

  [[nodiscard]] static constexpr Index size(Index modes) noexcept { return 10 * modes; }

  DplrVectors(Index n, double* memory) noexcept
      : modes(n), F(memory), push(F + 2 * n), along(push + 2 * n), b(along + 2 * n), c(b + 2 * n) {}

  /// From mode(n) and h = dt / 2.
  template <class Mode>
  DplrVectors(Index n, double h, const Mode& mode, double* memory) noexcept : DplrVectors(n, memory) {
    const DplrSums sums(modes, h, mode);
    const double rho = sums.r * sums.kappa;
    for (Index j = 0; j < modes; ++j) {
      const DplrMode at = mode(j);
      const DplrTerms terms(at.lambda, h);
      const std::complex<double> G = sums.r * std::conj(at.p) * terms.F;
      put(F, j, terms.F);
      put(push, j, terms.d * at.p);
      along[j] = dplr_along(at.p, G, rho, false);
      along[modes + j] = dplr_along(at.p, G, rho, true);
      put(b, j, 2.0 * terms.d * at.b - sums.sigma * terms.d * at.p);
      put(c, j, 2.0 * std::conj(at.c));
    }
  }

 private:
  void put(double* vector, Index j, std::complex<double> value) const noexcept {
    vector[j] = value.real();
    vector[modes + j] = value.imag();
  }
};

/// to [M, M] += the transpose of the block-diagonal matrix of the complex numbers F.
inline void add_block_diagonal(Index modes, const double* F, double* to) noexcept {
  const Index M = 2 * modes;
  for (Index j = 0; j < modes; ++j) {
    to[j * M + j] += F[j];
    to[j * M + modes + j] += F[modes + j];
    to[(modes + j) * M + j] -= F[modes + j];
    to[(modes + j) * M + modes + j] += F[j];
  }
}

/// Writes A^T [M, M].
inline void dplr_transposed(const DplrVectors& v, double* to) noexcept {
  const Index M = 2 * v.modes;
  for (Index j = 0; j < M; ++j) {
    for (Index k = 0; k < M; ++k) to[j * M + k] = -v.along[j] * v.push[k];
  }
  add_block_diagonal(v.modes, v.F, to);
}

/// Doubles of a dense system of so many modes.
[[nodiscard]] constexpr Index dplr_dense_size(Index modes) noexcept {
  return 4 * modes * modes + DplrVectors::size(modes) + 1;
}

/// From mode(n), h = dt / 2 and D, in memory for dplr_dense_size doubles.
template <class Mode>
[[nodiscard]] DenseResponse dplr_dense(Index modes, double h, double skip, const Mode& mode, double* memory) noexcept {
  const Index M = 2 * modes;
  const DplrVectors vectors(modes, h, mode, memory + M * M);
  double* last = memory + M * M + DplrVectors::size(modes);
  *last = skip;
  dplr_transposed(vectors, memory);
  return {M, 1, memory, vectors.b, vectors.c, last};
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
