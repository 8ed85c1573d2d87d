#pragma once

#include <stepscan/ops/dplr_vectors.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Against the direction of DplrVectors: from their cotangents d to those of the modes, given one by one to put(n,
/// cotangents); returns that of h. A complex cotangent is dL/dx + i dL/dy; that of p from one of conj(p) a is
/// conj(.) a.
template <class Mode, class Put>
[[nodiscard]] double dplr_vectors_backward(Index modes, double h, const Mode& mode, const DplrVectors& d,
                                           const Put& put) noexcept {
  using Complex = std::complex<double>;
  const DplrSums sums(modes, h, mode);
  const double r = sums.r, rho = r * sums.kappa;
  double drho = 0, dsigma = 0, dr = 0;
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    dsigma -= (std::conj(DplrTerms(at.lambda, h).d * at.p) * d.at(d.b, n)).real();
  }
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const DplrTerms t(at.lambda, h);
    const Complex along = d.at(d.along, n);
    drho -= 2 * (std::conj(at.p) * along).real();
    const Complex dG = 2.0 * std::conj(along), dR = 4.0 * std::conj(at.b) * dsigma;
    dr += (std::conj(std::conj(at.p) * t.F) * dG).real() + (std::conj(std::conj(at.p) * t.d) * dR).real();
  }
  dr += sums.kappa * drho;
  const double dkappa = r * drho - r * r * dr;

  double dh = 0;
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const DplrTerms t(at.lambda, h);
    const Complex along = d.at(d.along, n), dG = 2.0 * std::conj(along), dR = 4.0 * std::conj(at.b) * dsigma;
    const Complex db = d.at(d.b, n), dq = r * dR;
    const Complex ddp = d.at(d.push, n) - sums.sigma * db;  // of d p
    const Complex dF = d.at(d.F, n) + r * at.p * dG;
    const Complex dd = std::conj(at.p) * ddp + 2.0 * std::conj(at.b) * db + at.p * dq + 2 * std::norm(at.p) * dkappa;
    DplrMode g;
    g.p = 2.0 * (1 - rho) * along + r * std::conj(dG) * t.F + std::conj(dq) * t.d + std::conj(t.d) * ddp +
          4 * t.d.real() * dkappa * at.p;
    g.b = 2.0 * std::conj(t.d) * db + 4.0 * std::conj(r * std::conj(at.p) * t.d) * dsigma;
    g.c = 2.0 * std::conj(d.at(d.c, n));
    const Complex square = t.m * t.m;
    g.lambda = std::conj(h * h * square) * dd + std::conj(2 * h * square) * dF;
    dh += (std::conj(square) * dd + std::conj(2.0 * at.lambda * square) * dF).real();
    put(n, g);
  }
  return dh;
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
