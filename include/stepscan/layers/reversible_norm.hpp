#pragma once

#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/ops/reversible_norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Reversible instance normalisation of windows of a series; see ops/reversible_norm.hpp. It has two directions, so it
/// is no SequenceLayer.
template <Scalar S>
class ReversibleNorm {
 public:
  Tensor<S, Dynamic> weight;  ///< [channels]
  Tensor<S, Dynamic> bias;
  S eps = static_cast<S>(1e-5);

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &ReversibleNorm::weight}, Field{"bias", &ReversibleNorm::bias}};
  }

  ReversibleNorm() = default;
  explicit ReversibleNorm(Index channels) : weight(channels), bias(channels) {}

  /// Weights one, biases zero.
  void initialize(Random&) noexcept {
    weight.fill(S{1});
    bias.fill(S{0});
  }

  [[nodiscard]] ChannelScale<const S> scale() const noexcept { return {weight.data(), bias.data()}; }
  [[nodiscard]] ChannelScale<S> scale() noexcept { return {weight.data(), bias.data()}; }
};

}  // namespace stepscan::inline STEPSCAN_ISA
