#pragma once

#include <stepscan/layers/norm_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Layer normalisation of every token (Ba, Kiros and Hinton, arXiv 1607.06450, equations 3 and 4; torch.nn.LayerNorm):
///   y = weight * (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) + bias
/// weight and bias [Features]; x and y [batch, time, Features]. Runs in any form.
template <Scalar S, Index Features, bool WithBias = true>
class LayerNorm : public NormLayer<LayerNorm<S, Features, WithBias>, Centre::mean, S, Features> {
 public:
  static constexpr const char* name = "LayerNorm";

  Tensor<S, Features> weight;
  [[no_unique_address]] std::conditional_t<WithBias, Tensor<S, Features>, detail::NoParameter> bias;
  S eps = static_cast<S>(1e-5);

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &LayerNorm::weight}, Field{"bias", &LayerNorm::bias}};
  }

  /// All parameters zero until initialised or loaded; the size is needed where it is Dynamic.
  LayerNorm() = default;
  explicit LayerNorm(Index features) : weight(features), bias(features) {}

  [[nodiscard]] static constexpr Index group_count() noexcept { return 1; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
