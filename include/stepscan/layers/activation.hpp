#pragma once

#include <stepscan/layers/stateless.hpp>
#include <stepscan/ops/activation.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// y = f(x) of every feature of every token. No parameters; runs in any form. The number of features may be Dynamic:
/// Activation<float, Dynamic, TanhActivation> layer(features).
/// Used by its names: Relu, Tanh, Sigmoid, Silu, Gelu, Softplus.
template <Scalar S, Index Features, class Function, class Math = Exact>
class Activation : public RowwiseLayer<Activation<S, Features, Function, Math>, S, Features, Features> {
 public:
  static constexpr const char* name = "Activation";
  using FunctionType = Function;

  static constexpr auto fields() { return std::tuple<>{}; }

  Activation() = default;
  explicit Activation(Extent<Features> features) : features_(features) {}

  void initialize(Random&) noexcept {}

  [[nodiscard]] Index input_size() const noexcept { return features_; }
  [[nodiscard]] Index output_size() const noexcept { return features_; }

  template <class Stored = S, class NewMath = void>
  [[nodiscard]] auto plan() const {
    return Activation<S, Features, Function, std::conditional_t<std::is_void_v<NewMath>, Math, NewMath>>(features_);
  }

 private:
  friend Layer<Activation, S, Features, Features>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Features> x, MatrixView<S, Dynamic, Features> y) const noexcept {
    activate<Function, Math, S>(x, y);
  }

  [[no_unique_address]] Extent<Features> features_;
};

/// max(0, x)
template <Scalar S, Index Features>
using Relu = Activation<S, Features, ReluActivation>;
/// tanh(x)
template <Scalar S, Index Features>
using Tanh = Activation<S, Features, TanhActivation>;
/// 1 / (1 + e^-x)
template <Scalar S, Index Features>
using Sigmoid = Activation<S, Features, SigmoidActivation>;
/// x / (1 + e^-x)
template <Scalar S, Index Features>
using Silu = Activation<S, Features, SiluActivation>;
/// x Phi(x)
template <Scalar S, Index Features>
using Gelu = Activation<S, Features, GeluActivation>;
/// log(1 + e^x)
template <Scalar S, Index Features>
using Softplus = Activation<S, Features, SoftplusActivation>;

}  // namespace stepscan::inline STEPSCAN_ISA
