#pragma once

#include <stepscan/layers/initialize.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/conv1d.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How a Conv1d moves over the sequence; see Conv1dShape.
struct Conv1dOptions {
  Index stride = 1;
  Index dilation = 1;
  Index left = 0;
  Index right = 0;
  Index groups = 1;
};

/// What a Conv1d and its plan share: a layer over whole sequences, without a state, that changes their length.
template <class Self, Scalar S, Index Inputs, Index Outputs>
class Conv1dLayer : public Layer<Self, S, Inputs, Outputs> {
 public:
  using State = NoState;
  using Forms = std::tuple<>;
  using DefaultForm = OwnForm;
  static constexpr bool any_form = true;
  static constexpr bool causal = false;
  static constexpr bool keeps_time = false;
  static constexpr bool time_invariant = true;
  static constexpr Index receptive_field = Dynamic;

  [[nodiscard]] static constexpr NoState initial_state(Index) noexcept { return {}; }
  [[nodiscard]] Index input_size() const noexcept { return self().shape().inputs; }
  [[nodiscard]] Index output_size() const noexcept { return self().shape().outputs; }
  /// floor((left + time + right - dilation (kernel - 1) - 1) / stride) + 1
  [[nodiscard]] Index output_time(Index time) const noexcept { return self().shape().output_time(time); }

 protected:
  Conv1dLayer() = default;

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  template <class Form>
  void run_scan(const Form&, NoState&, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    self().with_packed_weights(workspace, [&](const auto* packed, const S* bias) {
      conv1d<S>(self().shape(), packed, bias, x, y, workspace);
    });
  }
};

/// A Conv1d ready for inference: its weights packed.
template <Scalar S, Index Inputs, Index Outputs, class Stored>
class Conv1dPlan : public Conv1dLayer<Conv1dPlan<S, Inputs, Outputs, Stored>, S, Inputs, Outputs> {
 public:
  static constexpr const char* name = "Conv1dPlan";

  /// weight [outputs, inputs / groups, kernel]; bias [outputs], or null for none.
  Conv1dPlan(const Conv1dShape& shape, const S* weight, const S* bias)
      : shape_(shape), packed_(conv1d_packed_size<S>(shape)), bias_(shape.outputs) {
    pack_conv1d<S>(shape, weight, packed_.data());
    if (bias != nullptr) std::copy_n(bias, bias_.size(), bias_.data());
  }

  [[nodiscard]] const Conv1dShape& shape() const noexcept { return shape_; }

 private:
  friend Conv1dLayer<Conv1dPlan, S, Inputs, Outputs>;

  template <class F>
  void with_packed_weights(Workspace&, F&& f) const {
    f(packed_.data(), bias_.data());
  }

  Conv1dShape shape_;
  Tensor<Stored, Dynamic> packed_;
  Tensor<S, Dynamic> bias_;
};

/// Convolution over time as torch.nn.Conv1d has it, but channels last: see ops/conv1d.hpp for the equation.
///   weight [Outputs, Inputs / groups, Kernel], bias [Outputs]
/// x [batch, time, Inputs], y [batch, output_time(time), Outputs]. It sees the whole sequence at once: no step, no
/// state. A member of a ragged batch ends with its last real token, behind which it sees zeros.
template <Scalar S, Index Inputs, Index Outputs, Index Kernel, bool WithBias = true>
class Conv1d : public Conv1dLayer<Conv1d<S, Inputs, Outputs, Kernel, WithBias>, S, Inputs, Outputs> {
  static constexpr bool is_static = Inputs != Dynamic && Outputs != Dynamic && Kernel != Dynamic;

 public:
  static constexpr const char* name = "Conv1d";

  Tensor<S, Outputs, Dynamic, Kernel> weight;
  [[no_unique_address]] std::conditional_t<WithBias, Tensor<S, Outputs>, detail::NoParameter> bias;
  Conv1dOptions options;

  static constexpr auto fields() { return std::tuple{Field{"weight", &Conv1d::weight}, Field{"bias", &Conv1d::bias}}; }

  /// All parameters zero; sizes are needed where they are Dynamic. Throws ArgumentError when the channels are no
  /// multiple of the groups, or an option is out of its range.
  Conv1d() : Conv1d(Conv1dOptions{}) {}
  explicit Conv1d(const Conv1dOptions& how) : options(how) {
    if constexpr (is_static) *this = Conv1d(Inputs, Outputs, Kernel, how);
  }
  Conv1d(Index inputs, Index outputs, Index kernel, const Conv1dOptions& how = {}) : options(how) {
    const Conv1dShape sizes = shape_of(inputs, outputs, kernel, how);
    check_conv1d(sizes);
    weight = Tensor<S, Outputs, Dynamic, Kernel>(outputs, sizes.group_inputs(), kernel);
    bias = decltype(bias)(outputs);
    if constexpr (Inputs != Dynamic) static_cast<void>(Extent<Inputs>(inputs));
  }

  /// Uniform in +-1 / sqrt(inputs / groups * kernel), as PyTorch does.
  void initialize(Random& random) { detail::fill_uniform(*this, shape().window(), random); }

  [[nodiscard]] Conv1dShape shape() const noexcept {
    return shape_of(weight.extent(1) * options.groups, weight.extent(0), weight.extent(2), options);
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return Conv1dPlan<S, Inputs, Outputs, Stored>(shape(), weight.data(), bias.data());
  }

  /// Calls f(packed weights, bias) with the parameters packed into the workspace.
  template <class F>
  void with_packed_weights(Workspace& workspace, F&& f) const {
    const Workspace::Scope scope(workspace);
    const Conv1dShape sizes = shape();
    S* packed = workspace.template take<S>(conv1d_packed_size<S>(sizes));
    pack_conv1d<S>(sizes, weight.data(), packed);
    S* offsets = workspace.template take<S>(sizes.outputs);
    std::fill_n(offsets, sizes.outputs, S{0});
    if constexpr (WithBias) std::copy(bias.begin(), bias.end(), offsets);
    f(packed, offsets);
  }

 private:
  static Conv1dShape shape_of(Index inputs, Index outputs, Index kernel, const Conv1dOptions& how) noexcept {
    return {inputs, outputs, kernel, how.stride, how.dilation, how.left, how.right, how.groups};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
