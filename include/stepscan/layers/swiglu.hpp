#pragma once

#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/glu_feed_forward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Scratch of one step; nothing is carried from token to token.
template <Scalar S>
struct GluState {
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple<>{}; }
};

/// What a gated feed-forward network and its plan share. Self provides hidden_size() and the weights to multiply with:
/// with_step_weights(f) and with_packed_weights(workspace, f) call f(weights).
template <class Self, class Function, class Math, Scalar S, Index Features>
class GluLayer : public Layer<Self, S, Features, Features> {
 public:
  using State = GluState<S>;
  using Forms = std::tuple<Recurrent, Chunked<>>;
  using DefaultForm = Chunked<>;
  static constexpr bool any_form = true;
  static constexpr bool time_invariant = true;
  static constexpr Index receptive_field = 1;

  [[nodiscard]] State initial_state(Index batch) const { return {Scratch<S>(batch * 2 * self().hidden_size())}; }

 protected:
  GluLayer() = default;

 private:
  friend Layer<Self, S, Features, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  /// As many rows at a time as the state has scratch for: it may have been made for a smaller batch.
  void run_step(State& state, MatrixView<const S> x, MatrixView<S> y) const noexcept {
    const Index most = state.scratch.size() / std::max<Index>(2 * self().hidden_size(), 1);
    STEPSCAN_ASSERT(most > 0 || x.rows == 0);
    self().with_step_weights([&](const auto& weights) {
      for (Index first = 0; first < x.rows && most > 0; first += most) {
        const Index count = std::min(most, x.rows - first);
        glu_feed_forward<Function, Math, S>(weights, x.middle_rows(first, count), y.middle_rows(first, count),
                                            state.scratch.data());
      }
    });
  }

  template <class Form>
  void run_scan(const Form&, State&, SequenceView<const S> x, SequenceView<S> y, Workspace& workspace) const {
    const auto run = [&](const auto& weights) {
      detail::join_members(x, y);
      glu_feed_forward_tokens<Function, Math, S>(weights, x, y, workspace);
    };
    if constexpr (std::same_as<Form, Recurrent>) {
      self().with_step_weights(run);
    } else {
      self().with_packed_weights(workspace, run);
    }
  }
};

/// Ready for inference: weights packed once.
template <class Function, class Math, Scalar S, Index Features, Index Hidden, class Stored>
class GluPlan : public GluLayer<GluPlan<Function, Math, S, Features, Hidden, Stored>, Function, Math, S, Features> {
  using Base = GluLayer<GluPlan, Function, Math, S, Features>;

 public:
  static constexpr const char* name = "GluPlan";

  explicit GluPlan(const GluMatrices<S>& weights)
      : gate_up_(2 * weights.hidden(), Index{weights.gate.cols}),
        down_(weights.down),
        zeros_(std::max(2 * weights.hidden(), Index{weights.down.rows})) {
    gate_up_.pack(weights.gate, 0);
    gate_up_.pack(weights.up, weights.hidden());
  }

  [[nodiscard]] Index input_size() const noexcept { return gate_up_.view().cols; }
  [[nodiscard]] Index output_size() const noexcept { return down_.view().rows; }
  [[nodiscard]] Index hidden_size() const noexcept { return down_.view().cols; }

 private:
  friend Base;

  template <class F>
  void with_step_weights(F&& f) const {
    f(GluPanels<S, Features, Hidden, Stored>{gate_up_.view(), down_.view(), zeros_.data()});
  }
  template <class F>
  void with_packed_weights(Workspace&, F&& f) const {
    with_step_weights(f);
  }

  PackedMatrix<S, static_product(2, Hidden), Features, Stored> gate_up_;
  PackedMatrix<S, Features, Hidden, Stored> down_;
  Tensor<S, Dynamic> zeros_;
};

/// The feed-forward network with a gated linear unit ("GLU Variants Improve Transformer", arXiv 2002.05202, equations 5
/// and 6, without biases):
///   y = w_down (f(w_gate x) * (w_up x))
/// w_gate and w_up [Hidden, Features], w_down [Features, Hidden]; x and y [batch, time, Features]. Runs in any form;
/// Recurrent takes the weights as they lie, every other form packs them once a call. Used by its names: SwiGlu, GeGlu.
template <Scalar S, Index Features, Index Hidden, class Function>
class GluFeedForward : public GluLayer<GluFeedForward<S, Features, Hidden, Function>, Function, Exact, S, Features> {
  using Base = GluLayer<GluFeedForward, Function, Exact, S, Features>;

 public:
  static constexpr const char* name = "GluFeedForward";
  using FunctionType = Function;

  Linear<S, Features, Hidden, false> w_gate;
  Linear<S, Features, Hidden, false> w_up;
  Linear<S, Hidden, Features, false> w_down;

  static constexpr auto fields() {
    return std::tuple{Field{"w_gate", &GluFeedForward::w_gate}, Field{"w_up", &GluFeedForward::w_up},
                      Field{"w_down", &GluFeedForward::w_down}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  GluFeedForward() = default;
  GluFeedForward(Index features, Index hidden)
      : w_gate(features, hidden), w_up(features, hidden), w_down(hidden, features) {}

  /// Each as Linear.
  void initialize(Random& random) {
    w_gate.initialize(random);
    w_up.initialize(random);
    w_down.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return w_gate.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return w_down.output_size(); }
  [[nodiscard]] Index hidden_size() const noexcept { return w_gate.output_size(); }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    return GluPlan<Function, Chosen, S, Features, Hidden, Stored>(matrices());
  }

  /// The weights as they lie in memory.
  [[nodiscard]] GluMatrices<S> matrices() const noexcept { return {w_gate.weight, w_up.weight, w_down.weight}; }

 private:
  friend Base;

  template <class F>
  void with_step_weights(F&& f) const {
    f(matrices());
  }

  template <class F>
  void with_packed_weights(Workspace& workspace, F&& f) const {
    const Workspace::Scope scope(workspace);
    const auto zeros = [&](Index count) {
      S* memory = workspace.template take<S>(count);
      std::fill_n(memory, count, S{0});
      return memory;
    };
    const Index features = input_size(), hidden = hidden_size();
    S* gate_up = zeros(packed_size<S>(2 * hidden, features));
    pack_rows<S>(gate_up, features, MatrixView<const S>(w_gate.weight), 0);
    pack_rows<S>(gate_up, features, MatrixView<const S>(w_up.weight), hidden);
    const S* none = zeros(std::max(2 * hidden, features));
    f(GluPanels<S, Features, Hidden>{
        {gate_up, 2 * hidden, features}, packed<S, Features, Hidden>(w_down.weight, workspace), none});
  }
};

/// f = silu: equation 6's FFN_SwiGLU
template <Scalar S, Index Features, Index Hidden>
using SwiGlu = GluFeedForward<S, Features, Hidden, SiluActivation>;
/// f = gelu: equation 6's FFN_GEGLU
template <Scalar S, Index Features, Index Hidden>
using GeGlu = GluFeedForward<S, Features, Hidden, GeluActivation>;

}  // namespace stepscan::inline STEPSCAN_ISA
