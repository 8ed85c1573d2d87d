#pragma once

#include <stepscan/layers/diagonal_mimo_backward.hpp>
#include <stepscan/layers/s5.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct S5Parameters {
  template <class L>
  static void pull_back(const L& layer, Index p, const DiscreteMode& d, L& gradient) {
    using S = typename L::scalar_type;
    const double dt = layer.step_size(p);
    const ModeCotangent g = discretize_backward(layer.eigenvalue(p), dt, layer.options.discretization, d);
    add_complex(gradient.Lambda, layer.clips(p) ? std::complex<double>(0, g.lambda.imag()) : g.lambda, p);
    gradient.log_step[p] += static_cast<S>(g.dt * dt);
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, bool BothWays, class Default>
struct Training<S5<S, Features, StateSize, BothWays, Default>>
    : detail::DiagonalMimoTraining<S5<S, Features, StateSize, BothWays, Default>, detail::S5Parameters, BothWays> {};

}  // namespace stepscan::inline STEPSCAN_ISA
