#pragma once

#include <stepscan/layers/dense_system_backward.hpp>
#include <stepscan/layers/s4.hpp>
#include <stepscan/ops/dplr_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct S4Parameters {
  template <class L>
  [[nodiscard]] static Index room(const L& layer) noexcept {
    return layer.states();
  }

  template <class L>
  static void pull_back(const L& layer, Index f, const DenseCotangents& g, double* room, L& gradient) noexcept {
    using S = typename L::scalar_type;
    const double h = layer.half_step(f);
    const double dh = dplr_dense_backward(
        layer.modes(), h, [&](Index n) { return layer.mode(f, n); }, g, room,
        [&](Index n, const DplrMode& d) {
          add_complex(gradient.Lambda, d.lambda, f, n);
          add_complex(gradient.P, d.p, f, n);
          add_complex(gradient.B, d.b, f, n);
          add_complex(gradient.C, d.c, f, n);
        });
    gradient.log_dt[f] += static_cast<S>(h * dh);
    gradient.D[f] += static_cast<S>(g.skip[0]);
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Default>
struct Training<S4<S, Features, StateSize, Default>>
    : detail::LinearSystemTraining<S4<S, Features, StateSize, Default>,
                                   detail::DensePullback<S4<S, Features, StateSize, Default>, detail::S4Parameters>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
