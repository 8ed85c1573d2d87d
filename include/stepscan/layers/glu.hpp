#pragma once

#include <stepscan/layers/stateless.hpp>
#include <stepscan/ops/glu.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gated linear unit of every token (Dauphin et al., arXiv 1612.08083; torch.nn.GLU): y = a * f(b), [a | b] = x,
/// f the logistic function unless another one is named. No parameters; runs in any form. x [batch, time, 2 Features],
/// y [batch, time, Features]. The number of features may be Dynamic: Glu<float, Dynamic> layer(features).
template <Scalar S, Index Features, class Function = SigmoidActivation, class Math = Exact>
class Glu : public RowwiseLayer<Glu<S, Features, Function, Math>, S, static_product(2, Features), Features> {
  static constexpr Index Inputs = static_product(2, Features);

 public:
  static constexpr const char* name = "Glu";

  static constexpr auto fields() { return std::tuple<>{}; }

  Glu() = default;
  explicit Glu(Extent<Features> features) : features_(features) {}

  void initialize(Random&) noexcept {}

  [[nodiscard]] Index input_size() const noexcept { return 2 * features_; }
  [[nodiscard]] Index output_size() const noexcept { return features_; }

  template <class Stored = S, class NewMath = void>
  [[nodiscard]] auto plan() const {
    return Glu<S, Features, Function, std::conditional_t<std::is_void_v<NewMath>, Math, NewMath>>(features_);
  }

 private:
  friend Layer<Glu, S, Inputs, Features>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S, Dynamic, Features> y) const noexcept {
    glu<Function, Math, S>(x.middle_cols(features_, output_size()), x.middle_cols(0, output_size()), y);
  }

  [[no_unique_address]] Extent<Features> features_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
