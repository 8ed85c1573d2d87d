#pragma once

#include <stepscan/layers/diagonal_backward.hpp>
#include <stepscan/layers/s4d.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct S4dParameters {
  template <class L>
  static void pull_back(const L& layer, Index f, const ModeCotangents& g, L& gradient) noexcept {
    using S = typename L::scalar_type;
    const double dt = layer.step_size(f);
    double ddt = 0;
    for (Index n = 0; n < layer.modes(); ++n) {
      const std::complex<double> a = layer.eigenvalue(f, n), dc = 2.0 * g.of_c(n);
      const DiscreteMode d = discretize(a, dt, layer.options.discretization);
      const ModeCotangent from =
          discretize_backward(a, dt, layer.options.discretization, {g.of_a(n), std::conj(layer.weight(f, n)) * dc});
      add_complex(gradient.C, std::conj(d.input) * dc, f, n);
      gradient.log_A_real(f, n) += static_cast<S>(a.real() * from.lambda.real());
      gradient.A_im(f, n) += static_cast<S>(from.lambda.imag());
      ddt += from.dt;
    }
    gradient.log_dt[f] += static_cast<S>(dt * ddt);
    gradient.D[f] += static_cast<S>(g.skip);
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Default>
struct Training<S4d<S, Features, StateSize, Default>>
    : detail::DiagonalTraining<S4d<S, Features, StateSize, Default>, detail::S4dParameters> {};

}  // namespace stepscan::inline STEPSCAN_ISA
