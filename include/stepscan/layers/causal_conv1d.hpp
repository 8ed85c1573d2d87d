#pragma once

#include <stepscan/layers/initialize.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/causal_conv1d.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// conv [batch, Width - 1, Features], the last inputs, oldest first; and the taps of one step.
template <Scalar S, Index Features, Index Width>
struct CausalConv1dState {
  Tensor<S, Dynamic, (Width == Dynamic ? Dynamic : Width - 1), Features> conv;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"conv", &CausalConv1dState::conv}}; }
};

/// What a CausalConv1d and its plan share. Self provides width(), input_size(), bias_data() and taps(room): the taps
/// [Width, Features], which it may write to the room.
template <class Self, Scalar S, Index Features, Index Width, class Function, class Math, class Default>
class CausalConv1dLayer : public Layer<Self, S, Features, Features> {
 public:
  using FunctionType = Function;
  using State = CausalConv1dState<S, Features, Width>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;
  static constexpr bool time_invariant = true;
  static constexpr Index receptive_field = Width;

  [[nodiscard]] Index output_size() const noexcept { return self().input_size(); }

  /// A past of zeros.
  [[nodiscard]] State initial_state(Index batch) const {
    return {decltype(State::conv)(batch, self().width() - 1, self().input_size()), Scratch<S>(room())};
  }

 protected:
  CausalConv1dLayer() = default;

 private:
  friend Layer<Self, S, Features, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index room() const noexcept { return self().width() * self().input_size(); }
  [[nodiscard]] ConvTaps<S, Width> with_taps(S* memory) const noexcept {
    return {{self().taps(memory), self().width(), self().input_size()}, self().bias_data()};
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    causal_conv1d_step<Function, Math, S, Width>(with_taps(state.scratch.data()), state.conv.data(), x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const ConvTaps<S, Width> conv = with_taps(workspace.template take<S>(room()));
    causal_conv1d<Function, Math, S, Width>(conv, state.conv.data(), x, y, detail::schedule_of(form));
  }
};

/// A CausalConv1d ready for inference: its taps lie as they are used.
template <Scalar S, Index Features, Index Width, class Function, class Math, class Default>
class CausalConv1dPlan : public CausalConv1dLayer<CausalConv1dPlan<S, Features, Width, Function, Math, Default>, S,
                                                  Features, Width, Function, Math, Default> {
 public:
  static constexpr const char* name = "CausalConv1dPlan";

  /// weight [features, width]; bias [features], or null for none.
  CausalConv1dPlan(MatrixView<const S> weight, const S* bias)
      : taps_(Index{weight.cols}, Index{weight.rows}), bias_(Index{weight.rows}) {
    transpose_taps<S>(weight, taps_.data());
    if (bias != nullptr) std::copy_n(bias, bias_.size(), bias_.data());
  }

  [[nodiscard]] Index width() const noexcept { return taps_.extent(0); }
  [[nodiscard]] Index input_size() const noexcept { return taps_.extent(1); }

 private:
  friend CausalConv1dLayer<CausalConv1dPlan, S, Features, Width, Function, Math, Default>;

  [[nodiscard]] const S* taps(S*) const noexcept { return taps_.data(); }
  [[nodiscard]] const S* bias_data() const noexcept { return bias_.data(); }

  Tensor<S, Width, Features> taps_;
  Tensor<S, Features> bias_;
};

/// Short causal convolution of every feature by itself (Mamba, arXiv 2312.00752, section 3.4), with an activation:
///   y_t = f(bias + sum_(k < Width) weight[:, k] x_(t-Width+1+k))
/// weight [Features, Width], the last column against the current token; bias [Features]. x, y [batch, time, Features];
/// state conv [batch, Width - 1, Features]: the last inputs, oldest first. Function is SiluActivation,
/// IdentityActivation or another of ops/activation.hpp. All forms give the same bits.
template <Scalar S, Index Features, Index Width, bool WithBias = true, class Function = SiluActivation,
          class Default = Chunked<>>
class CausalConv1d : public CausalConv1dLayer<CausalConv1d<S, Features, Width, WithBias, Function, Default>, S,
                                              Features, Width, Function, Exact, Default> {
  static_assert(Width == Dynamic || Width >= 1, "stepscan: a CausalConv1d has at least one tap");

 public:
  static constexpr const char* name = "CausalConv1d";

  Tensor<S, Features, Width> weight;
  [[no_unique_address]] std::conditional_t<WithBias, Tensor<S, Features>, detail::NoParameter> bias;

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &CausalConv1d::weight}, Field{"bias", &CausalConv1d::bias}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic. Throws ShapeError when the width is not positive.
  CausalConv1d() requires(Features != Dynamic && Width != Dynamic) = default;
  CausalConv1d(Index features, Index width) : weight(features, width), bias(features) {
    if (width < 1) fail<ShapeError>("CausalConv1d: expected a width of at least 1, found " + std::to_string(width));
  }

  /// Uniform in +-1 / sqrt(width), as torch.nn.Conv1d of as many groups as features.
  void initialize(Random& random) { detail::fill_uniform(*this, width(), random); }

  [[nodiscard]] Index width() const noexcept { return weight.extent(1); }
  [[nodiscard]] Index input_size() const noexcept { return weight.extent(0); }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    return CausalConv1dPlan<S, Features, Width, Function, Chosen, Default>(weight, bias_data());
  }

 private:
  friend CausalConv1dLayer<CausalConv1d, S, Features, Width, Function, Exact, Default>;

  [[nodiscard]] const S* taps(S* room) const noexcept {
    transpose_taps<S>(weight, room);
    return room;
  }
  [[nodiscard]] const S* bias_data() const noexcept { return bias.data(); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
