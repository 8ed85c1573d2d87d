#pragma once

#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/stateless_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class L, class Function>
struct ActivationPullback {
  using S = typename L::scalar_type;

  static void pull_back(const L&, MatrixView<const S> x, MatrixView<const S> dy, L&, MatrixView<S> dx) {
    activate_backward<Function, S>(x, dy, dx);
  }
};

}  // namespace detail

template <Scalar S, Index Features, class Function, class Math>
struct Training<Activation<S, Features, Function, Math>>
    : detail::StatelessTraining<Activation<S, Features, Function, Math>,
                                detail::ActivationPullback<Activation<S, Features, Function, Math>, Function>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
