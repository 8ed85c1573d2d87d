#pragma once

#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What the normalisations of a token's features share. Self holds weight, eps, perhaps bias, and group_count().
template <class Self, Centre About, Scalar S, Index Features>
class NormLayer : public RowwiseLayer<Self, S, Features, Features> {
 public:
  static constexpr Centre centre = About;

  /// Weights one, biases zero.
  void initialize(Random&) noexcept {
    Self& layer = static_cast<Self&>(*this);
    for_each_tensor([](const Path&, auto& tensor) { tensor.fill(S{0}); }, layer);
    layer.weight.fill(S{1});
  }

  [[nodiscard]] Index input_size() const noexcept { return self().weight.size(); }
  [[nodiscard]] Index output_size() const noexcept { return self().weight.size(); }

  /// The operator's view of the layer.
  [[nodiscard]] Norm<S> norm() const noexcept {
    const S* bias = nullptr;
    if constexpr (requires(const Self& layer) { layer.bias.data(); }) bias = self().bias.data();
    return {self().group_count(), self().eps, self().weight.data(), bias};
  }

 protected:
  NormLayer() = default;

 private:
  friend Layer<Self, S, Features, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(NoState&, MatrixView<const S, Dynamic, Features> x, MatrixView<S, Dynamic, Features> y) const noexcept {
    normalize<About, S>(norm(), x, y);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
