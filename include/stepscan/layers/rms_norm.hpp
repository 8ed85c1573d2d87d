#pragma once

#include <stepscan/layers/norm_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Root mean square normalisation of every token (Zhang and Sennrich, arXiv 1910.07467, equation 4):
///   y = weight * x / sqrt(mean(x^2) + eps)
/// weight [Features]; x and y [batch, time, Features]. Runs in any form. The paper has no eps; 1e-6 is that of T5 and
/// Llama.
template <Scalar S, Index Features>
class RmsNorm : public NormLayer<RmsNorm<S, Features>, Centre::zero, S, Features> {
 public:
  static constexpr const char* name = "RmsNorm";

  Tensor<S, Features> weight;
  S eps = static_cast<S>(1e-6);

  static constexpr auto fields() { return std::tuple{Field{"weight", &RmsNorm::weight}}; }

  /// All parameters zero until initialised or loaded; the size is needed where it is Dynamic.
  RmsNorm() = default;
  explicit RmsNorm(Index features) : weight(features) {}

  [[nodiscard]] static constexpr Index group_count() noexcept { return 1; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
