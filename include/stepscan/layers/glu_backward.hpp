#pragma once

#include <stepscan/layers/glu.hpp>
#include <stepscan/layers/stateless_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class L, class Function>
struct GluPullback {
  using S = typename L::scalar_type;

  static void pull_back(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L&, MatrixView<S> dx) {
    const Index features = layer.output_size();
    glu_backward<Function, S>(x.middle_cols(features, features), x.middle_cols(0, features), dy,
                              dx.middle_cols(features, features), dx.middle_cols(0, features));
  }
};

}  // namespace detail

template <Scalar S, Index Features, class Function, class Math>
struct Training<Glu<S, Features, Function, Math>>
    : detail::StatelessTraining<Glu<S, Features, Function, Math>,
                                detail::GluPullback<Glu<S, Features, Function, Math>, Function>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
