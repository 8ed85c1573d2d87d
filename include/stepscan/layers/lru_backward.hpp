#pragma once

#include <stepscan/layers/diagonal_mimo_backward.hpp>
#include <stepscan/layers/lru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// With w = conj(lambda) dlambda:   dnu_log = -exp(nu_log) Re w,   dtheta_log = exp(theta_log) Im w
struct LruParameters {
  template <class L>
  static void pull_back(const L& layer, Index p, const DiscreteMode& d, L& gradient) {
    using S = typename L::scalar_type;
    const DiscreteMode mode = layer.mode(p);
    const std::complex<double> w = std::conj(mode.transition) * d.transition;
    gradient.nu_log[p] -= static_cast<S>(std::exp(static_cast<double>(layer.nu_log[p])) * w.real());
    gradient.theta_log[p] += static_cast<S>(std::exp(static_cast<double>(layer.theta_log[p])) * w.imag());
    gradient.gamma_log[p] += static_cast<S>((std::conj(mode.input) * d.input).real());
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Default>
struct Training<Lru<S, Features, StateSize, Default>>
    : detail::DiagonalMimoTraining<Lru<S, Features, StateSize, Default>, detail::LruParameters> {};

}  // namespace stepscan::inline STEPSCAN_ISA
