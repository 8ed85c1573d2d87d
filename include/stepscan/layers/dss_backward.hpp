#pragma once

#include <stepscan/layers/diagonal_backward.hpp>
#include <stepscan/layers/dss.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Against the direction of Dss::mode. r(q) is no holomorphic function: from its cotangent g,
///   dq = conj(g) / den - 2 q Re(g q) / den^2,   den = |q|^2 + eps
struct DssParameters {
  template <class L>
  static void pull_back(const L& layer, Index f, const ModeCotangents& g, L& gradient) noexcept {
    using S = typename L::scalar_type;
    using Complex = std::complex<double>;
    const double dt = layer.step_size(f), taps = static_cast<double>(layer.options.kernel_length);
    double ddt = 0;
    for (Index n = 0; n < layer.modes(); ++n) {
      const Complex a = layer.eigenvalue(f, n), x = dt * a, weight = layer.weight(f, n);
      const bool grows = a.real() > 0;
      const double sign = grows ? -1 : 1, half = grows ? (taps - 1) / 2 : 0;
      const Complex xn = sign * x, long_rise = complex_expm1(taps * xn), q = long_rise * a, rise = complex_expm1(xn);
      const double den = std::norm(q) + layer.options.eps;
      const Complex reciprocal = std::conj(q) / den, shift = std::exp(-half * x), w = weight * rise * reciprocal;

      const Complex dw = std::conj(shift) * g.of_c(n);
      Complex dx = std::conj(std::exp(x)) * g.of_a(n);
      dx -= half * std::conj(shift) * (g.of_b(n) + std::conj(w) * g.of_c(n));
      const Complex dreciprocal = std::conj(weight * rise) * dw;
      const Complex dq = std::conj(dreciprocal) / den - 2.0 * q * (dreciprocal * q).real() / (den * den);
      Complex dxn = std::conj(weight * reciprocal * std::exp(xn)) * dw;
      dxn += std::conj(a * taps * std::exp(taps * xn)) * dq;
      dx += sign * dxn;
      add_complex(gradient.C, std::conj(rise * reciprocal) * dw, f, n);
      add_complex(gradient.A, std::conj(long_rise) * dq + dt * dx, f, n);
      ddt += (std::conj(a) * dx).real();
    }
    gradient.log_dt[f] += static_cast<S>(dt * ddt);
    gradient.D[f] += static_cast<S>(g.skip);
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Default>
struct Training<Dss<S, Features, StateSize, Default>>
    : detail::DiagonalTraining<Dss<S, Features, StateSize, Default>, detail::DssParameters> {};

}  // namespace stepscan::inline STEPSCAN_ISA
