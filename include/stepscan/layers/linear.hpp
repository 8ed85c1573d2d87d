#pragma once

#include <stepscan/layers/initialize.hpp>
#include <stepscan/layers/stateless.hpp>
#include <stepscan/ops/linear.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A Linear ready for inference: its weights packed.
template <Scalar S, Index Inputs, Index Outputs, class Stored>
class LinearPlan : public StatelessLayer<LinearPlan<S, Inputs, Outputs, Stored>, S, Inputs, Outputs> {
 public:
  static constexpr const char* name = "LinearPlan";
  using Forms = std::tuple<Recurrent, Chunked<>>;
  using DefaultForm = Chunked<>;

  /// weight [outputs, inputs]; bias [outputs], or null for none.
  LinearPlan(MatrixView<const S> weight, const S* bias) : weight_(weight), bias_(Index{weight.rows}) {
    if (bias != nullptr) std::copy_n(bias, bias_.size(), bias_.data());
  }

  [[nodiscard]] Index input_size() const noexcept { return weight_.view().cols; }
  [[nodiscard]] Index output_size() const noexcept { return weight_.view().rows; }

 private:
  friend Layer<LinearPlan, S, Inputs, Outputs>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S, Dynamic, Outputs> y) const noexcept {
    weight_.view().multiply(x, {bias_.data(), Index{x.rows}, output_size(), 0}, y);
  }

  template <class Form>
  void run_scan(const Form&, NoState&, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y, Workspace&) const {
    detail::join_members(x, y);
    linear_tokens(weight_.view(), bias_.data(), x, y);
  }

  PackedMatrix<S, Outputs, Inputs, Stored> weight_;
  Tensor<S, Outputs> bias_;
};

namespace detail {

/// Stands for a parameter, or a part, that a layer does without: of any size, nothing to visit, to initialise or to
/// point to.
struct NoParameter {
  NoParameter() = default;
  template <std::convertible_to<Index>... Sizes>
  constexpr NoParameter(Sizes...) noexcept {}

  static constexpr auto fields() { return std::tuple<>{}; }
  [[nodiscard]] static constexpr std::nullptr_t data() noexcept { return nullptr; }
  void initialize(Random&) noexcept {}
  template <class Stored, class Math>
  [[nodiscard]] NoParameter plan() const noexcept {
    return {};
  }
};

/// y = W x + b of every token, in a form; b may be null. Recurrent takes the weights as they lie, every other form
/// packs them first.
template <class Form, Scalar S, Index Inputs, Index Outputs>
void linear_scan(MatrixView<const S, Outputs, Inputs> weight, const S* bias, SequenceView<const S, Inputs> x,
                 SequenceView<S, Outputs> y, Workspace& workspace) {
  if constexpr (std::same_as<Form, Recurrent>) {
    for (Index b = 0; b < x.batch; ++b) {
      plain_linear<S>(weight, bias, x.member(b).middle_rows(0, x.length(b)), y.member(b).middle_rows(0, x.length(b)));
    }
    clear_padding(x, y);
  } else {
    const Workspace::Scope scope(workspace);
    S* offsets = workspace.template take<S>(weight.rows);
    std::fill_n(offsets, Index{weight.rows}, S{0});
    if (bias != nullptr) std::copy_n(bias, Index{weight.rows}, offsets);
    join_members(x, y);
    linear_tokens(packed<S, Outputs, Inputs>(weight, workspace), offsets, x, y);
  }
}

}  // namespace detail

/// The affine map of every token (torch.nn.Linear): y = W x + b, with weight [Outputs, Inputs] and bias [Outputs].
/// x [batch, time, Inputs], y [batch, time, Outputs]. Runs in any form; Recurrent takes the weights as they lie, every
/// other form packs them once a call.
template <Scalar S, Index Inputs, Index Outputs, bool WithBias = true>
class Linear : public StatelessLayer<Linear<S, Inputs, Outputs, WithBias>, S, Inputs, Outputs> {
 public:
  static constexpr const char* name = "Linear";
  using Forms = std::tuple<Recurrent, Chunked<>>;
  using DefaultForm = Chunked<>;

  Tensor<S, Outputs, Inputs> weight;
  [[no_unique_address]] std::conditional_t<WithBias, Tensor<S, Outputs>, detail::NoParameter> bias;

  static constexpr auto fields() { return std::tuple{Field{"weight", &Linear::weight}, Field{"bias", &Linear::bias}}; }

  /// All parameters zero; sizes are needed where they are Dynamic.
  Linear() = default;
  Linear(Index inputs, Index outputs) : weight(outputs, inputs), bias(outputs) {}

  /// Uniform in +-1 / sqrt(inputs), as PyTorch does.
  void initialize(Random& random) { detail::fill_uniform(*this, input_size(), random); }

  [[nodiscard]] Index input_size() const noexcept { return weight.extent(1); }
  [[nodiscard]] Index output_size() const noexcept { return weight.extent(0); }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return LinearPlan<S, Inputs, Outputs, Stored>(weight, bias.data());
  }

 private:
  friend Layer<Linear, S, Inputs, Outputs>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S, Dynamic, Outputs> y) const noexcept {
    plain_linear<S>(weight, bias.data(), x, y);
  }

  template <class Form>
  void run_scan(const Form&, NoState&, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    detail::linear_scan<Form, S, Inputs, Outputs>(weight, bias.data(), x, y, workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
