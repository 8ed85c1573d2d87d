#pragma once

#include <stepscan/kernels/dot.hpp>
#include <stepscan/ops/dplr_system.hpp>

/// Diagonal plus low rank systems in real numbers, the real parts of a state before its imaginary parts: a step is
/// x' = A x + b u with A block-diagonal plus a matrix of rank 1, A = F - [d p] s^T, s^T x = alpha + beta.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// s^T, one number: of the real part of mode n, or of its imaginary part.
[[nodiscard]] inline double dplr_along(std::complex<double> p, std::complex<double> G, double rho,
                                       bool imaginary) noexcept {
  return imaginary ? 2 * p.imag() * (1 - rho) - 2 * G.imag() : 2 * p.real() * (1 - rho) + 2 * G.real();
}

/// One feature, or its cotangents: vectors of M = 2 modes numbers each.
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

  /// Mode j of one of them.
  [[nodiscard]] std::complex<double> at(const double* vector, Index j) const noexcept {
    return {vector[j], vector[modes + j]};
  }

 private:
  void put(double* vector, Index j, std::complex<double> value) const noexcept {
    vector[j] = value.real();
    vector[modes + j] = value.imag();
  }
};

/// On which side of A a vector stands. row A is A^T row: conj(F) in place of F, and push and along exchanged.
enum class Side { column, row };

/// Modes from n on of to = A x, or of to = x A; `by` is the rank-1 part's scalar product of x. Returns sum + that of
/// `to`, by lanes.
template <Side side, class Lanes>
[[nodiscard, gnu::always_inline]] inline Simd<double> dplr_move(const Lanes& lanes, const DplrVectors& v, Index n,
                                                                Simd<double> by, const double* x, double* to,
                                                                Simd<double> sum) noexcept {
  constexpr bool row = side == Side::row;
  const double* out = row ? v.along : v.push;
  const double* in = row ? v.push : v.along;
  const Index m = v.modes + n;
  const Simd<double> F_re = lanes.load(v.F + n),
                     F_im = row ? Simd<double>(0) - lanes.load(v.F + m) : lanes.load(v.F + m);
  const Simd<double> re = lanes.load(x + n), im = lanes.load(x + m);
  const Simd<double> next_re = fma(F_re, re, Simd<double>(0) - fma(F_im, im, by * lanes.load(out + n)));
  const Simd<double> next_im = fma(F_re, im, fnma(by, lanes.load(out + m), F_im * re));
  lanes.store(to + n, next_re);
  lanes.store(to + m, next_im);
  return fma(next_re, lanes.load(in + n), fma(next_im, lanes.load(in + m), sum));
}

/// row [M] becomes row A^count; `next` is room for M numbers.
inline void dplr_move_row(const DplrVectors& v, Index count, double* row, double* next) noexcept {
  const Index M = 2 * v.modes;
  double pushed = dot(row, v.push, M);
  for (Index i = 0; i < count; ++i) {
    Simd<double> products(0.0);
    for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
      products = dplr_move<Side::row>(lanes, v, n, Simd<double>(pushed), row, next, products);
    });
    pushed = sum(products);
    std::copy_n(next, M, row);
  }
}

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

}  // namespace stepscan::inline STEPSCAN_ISA::detail
