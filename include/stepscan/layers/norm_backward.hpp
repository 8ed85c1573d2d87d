#pragma once

#include <stepscan/layers/norm_layer.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/ops/norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// RmsNorm, LayerNorm, GroupNorm.
template <class L>
concept NormParameters = requires(const L& layer) {
  { layer.norm() } -> std::same_as<Norm<typename L::scalar_type>>;
  L::centre;
};

namespace detail {

/// The statistics are taken again.
template <class L>
struct NormPullback {
  using S = typename L::scalar_type;

  static void pull_back(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L& gradient, MatrixView<S> dx) {
    NormGradient<S> to{gradient.weight.data()};
    if constexpr (requires { gradient.bias.data(); }) to.bias = gradient.bias.data();
    normalize_backward<L::centre, S>(layer.norm(), x, dy, to, dx);
  }
};

}  // namespace detail

template <NormParameters L>
struct Training<L> : detail::StatelessTraining<L, detail::NormPullback<L>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
