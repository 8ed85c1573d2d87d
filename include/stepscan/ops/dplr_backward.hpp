#pragma once

#include <stepscan/ops/dense_operators_backward.hpp>
#include <stepscan/ops/dplr_dense.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Against the direction of dplr_dense: from the cotangents of the dense system to those of the modes, given one by one
/// to put(n, cotangents); returns that of h. `sums_room` holds 2 modes doubles. A complex cotangent is dL/dx + i dL/dy;
/// that of p from one of conj(p) a is conj(.) a.
template <class Mode, class Put>
[[nodiscard]] double dplr_dense_backward(Index modes, double h, const Mode& mode, const DenseCotangents& g,
                                         double* sums_room, const Put& put) noexcept {
  using Complex = std::complex<double>;
  const Index M = 2 * modes;
  const DplrSums sums(modes, h, mode);
  const double r = sums.r, rho = r * sums.kappa;
  double* along = sums_room;  // cotangent of s
  std::fill_n(along, M, 0.0);
  double drho = 0, dsigma = 0, dr = 0;
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const Complex dp = DplrTerms(at.lambda, h).d * at.p;
    for (Index j = 0; j < M; ++j) {
      along[j] -= g.transposed[j * M + n] * dp.real() + g.transposed[j * M + modes + n] * dp.imag();
    }
    dsigma -= dp.real() * g.b[n] + dp.imag() * g.b[modes + n];
  }
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const DplrTerms t(at.lambda, h);
    drho -= 2 * (at.p.real() * along[n] + at.p.imag() * along[modes + n]);
    const Complex dG(2 * along[n], -2 * along[modes + n]), dR = 4.0 * std::conj(at.b) * dsigma;
    dr += (std::conj(std::conj(at.p) * t.F) * dG).real() + (std::conj(std::conj(at.p) * t.d) * dR).real();
  }
  dr += sums.kappa * drho;
  const double dkappa = r * drho - r * r * dr;

  double dh = 0;
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const DplrTerms t(at.lambda, h);
    const Complex dG(2 * along[n], -2 * along[modes + n]), dR = 4.0 * std::conj(at.b) * dsigma;
    Complex ddp = 0;  // of d p
    for (Index j = 0; j < modes; ++j) {
      const DplrMode from = mode(j);
      const Complex G = r * std::conj(from.p) * DplrTerms(from.lambda, h).F;
      const double s_re = dplr_along(from.p, G, rho, false), s_im = dplr_along(from.p, G, rho, true);
      ddp -= s_re * Complex(g.transposed[j * M + n], g.transposed[j * M + modes + n]);
      ddp -= s_im * Complex(g.transposed[(modes + j) * M + n], g.transposed[(modes + j) * M + modes + n]);
    }
    const Complex db(g.b[n], g.b[modes + n]), dq = r * dR;
    ddp -= sums.sigma * db;
    Complex dF(g.transposed[n * M + n] + g.transposed[(modes + n) * M + modes + n],
               g.transposed[n * M + modes + n] - g.transposed[(modes + n) * M + n]);
    dF += r * at.p * dG;
    const Complex dd = std::conj(at.p) * ddp + 2.0 * std::conj(at.b) * db + at.p * dq + 2 * std::norm(at.p) * dkappa;
    DplrMode d;
    d.p = 2.0 * (1 - rho) * Complex(along[n], along[modes + n]) + r * std::conj(dG) * t.F + std::conj(dq) * t.d +
          std::conj(t.d) * ddp + 4 * t.d.real() * dkappa * at.p;
    d.b = 2.0 * std::conj(t.d) * db + 4.0 * std::conj(r * std::conj(at.p) * t.d) * dsigma;
    d.c = {2 * g.c[n], -2 * g.c[modes + n]};
    const Complex square = t.m * t.m;
    d.lambda = std::conj(h * h * square) * dd + std::conj(2 * h * square) * dF;
    dh += (std::conj(square) * dd + std::conj(2.0 * at.lambda * square) * dF).real();
    put(n, d);
  }
  return dh;
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
