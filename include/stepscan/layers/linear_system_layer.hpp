#pragma once

#include <stepscan/core/complex_tensor.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/linear_system_convolution.hpp>

/// What the layers of time-invariant systems share, one system per feature: S4d, Dss, S4.
namespace stepscan::inline STEPSCAN_ISA {

/// h [batch, Modes, Features], channels contiguous, so that a step loads and stores whole registers of channels; and
/// the scratch of one step.
template <Scalar S, Index Features, Index Modes>
struct ModeState {
  ComplexTensor<S, Dynamic, Modes, Features> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &ModeState::h}}; }

  ModeState() = default;
  ModeState(Index batch, Index modes, Index features, Index room) : h(batch, modes, features), scratch(room) {}

  [[nodiscard]] SystemStates<S> view() noexcept { return {{h.re.data(), h.im.data()}}; }
  [[nodiscard]] SystemStates<const S> view() const noexcept { return {{h.re.data(), h.im.data()}}; }
};

namespace detail {

/// Tokens of the chunk operators that a form takes for a state of so many numbers.
template <class Form>
[[nodiscard]] constexpr Index system_chunk(const Form&, Index states, bool dense) noexcept {
  const Index own = solve_system_chunk(states, dense);
  if constexpr (requires { Form::tokens; }) {
    constexpr bool parallel = std::same_as<typename FormKind<Form>::type, Parallel<>>;
    if (Form::tokens > 0) return parallel ? std::min(own, Form::tokens) : Form::tokens;
  }
  return own;
}

}  // namespace detail

/// A layer or plan. Self provides, beside its sizes and initial_state,
///   states()                       real numbers of a feature's state
///   step_room(), step_system(to)   numbers of what system_step takes, written to or found beside `to`
///   operators(chunk, workspace)    the chunk operators
///   kernel(response, workspace)    the impulse responses without the skips, [outputs, length]
/// and there are system_step and system_recurrence for what step_system gives. A plan replaces `spectra` by its own.
template <class Self, Scalar S, Index Inputs, Index Outputs, class StateType, class Default>
class LinearSystemLayer : public Layer<Self, S, Inputs, Outputs> {
 public:
  using State = StateType;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>, Convolution>;
  using DefaultForm = Default;
  static constexpr bool time_invariant = true;

  /// What linear_system_convolution takes beside the operators.
  [[nodiscard]] const S* spectra(const ChunkSystem<const S>& operators, Workspace& workspace) const {
    S* memory = workspace.take<S>(spectra_size(operators.shape));
    const Workspace::Scope scope(workspace);
    const MatrixView<S> response =
        workspace.matrix<S, Dynamic>(self().output_size(), Extent<Dynamic>(convolution_block));
    self().kernel(response, workspace);
    fill_convolution_spectra<S>(operators, response, memory, workspace);
    return memory;
  }
  [[nodiscard]] static Index spectra_size(const SystemShape& shape) noexcept {
    return convolution_spectra_size<S>(shape.features, shape.channels);
  }

 protected:
  LinearSystemLayer() = default;

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    system_step<S>(self().step_system(state.scratch.data()), x, state.view(), y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    if constexpr (std::same_as<Form, Recurrent>) {
      system_recurrence<S>(self().step_system(workspace.take<S>(self().step_room())), x, state.view(), y, workspace);
    } else {
      const Index chunk = detail::system_chunk(form, self().states(), Self::dense);
      const ChunkSystem<const S> operators = self().operators(chunk, workspace);
      if constexpr (std::same_as<Form, Convolution>) {
        linear_system_convolution<S>(operators, self().spectra(operators, workspace), x, state.view(), y, workspace);
      } else {
        linear_system_scan<S>(operators, x, state.view(), y, detail::schedule_of(form), workspace);
      }
    }
  }
};

namespace detail {

/// What the plan of a layer keeps: the chunk operators of its default form and the spectra of its impulse responses.
template <Scalar S>
class SystemTables {
 public:
  template <class L>
  explicit SystemTables(const L& layer) : chunk_(system_chunk(typename L::DefaultForm{}, layer.states(), L::dense)) {
    Workspace workspace;
    const ChunkSystem<const S> system = layer.operators(chunk_, workspace);
    shape_ = system.shape;
    operators_ = Tensor<S, Dynamic>(shape_.features * shape_.operators_size());
    std::copy_n(system.memory, operators_.size(), operators_.data());
    spectra_ = Tensor<S, Dynamic>(L::spectra_size(shape_));
    std::copy_n(layer.spectra(system, workspace), spectra_.size(), spectra_.data());
  }

  /// The operators kept, or others that the layer works out.
  template <class L>
  [[nodiscard]] ChunkSystem<const S> operators(const L& layer, Index chunk, Workspace& workspace) const {
    if (chunk == chunk_) return {shape_, operators_.data()};
    return layer.operators(chunk, workspace);
  }
  [[nodiscard]] const S* spectra() const noexcept { return spectra_.data(); }

 private:
  Index chunk_;
  SystemShape shape_;
  Tensor<S, Dynamic> operators_;
  Tensor<S, Dynamic> spectra_;
};

}  // namespace detail

/// A layer L ready for inference: what a step takes, the chunk operators of its default form, and the spectra of its
/// impulse responses.
template <class L>
class LinearSystemPlan : public LinearSystemLayer<LinearSystemPlan<L>, typename L::scalar_type, L::static_inputs,
                                                  L::static_outputs, typename L::State, typename L::DefaultForm> {
  using S = typename L::scalar_type;

 public:
  static constexpr const char* name = L::plan_name;
  static constexpr bool dense = L::dense;

  explicit LinearSystemPlan(const L& layer) : layer_(layer), step_(layer.step_room()), tables_(layer) {
    static_cast<void>(layer.step_system(step_.data()));
  }

  [[nodiscard]] Index input_size() const noexcept { return layer_.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return layer_.output_size(); }
  [[nodiscard]] Index states() const noexcept { return layer_.states(); }
  [[nodiscard]] typename L::State initial_state(Index batch) const { return layer_.initial_state(batch); }

  [[nodiscard]] Index step_room() const noexcept { return 0; }
  [[nodiscard]] auto step_system(S*) const noexcept { return layer_.step_at(step_.data()); }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    return tables_.operators(layer_, chunk, workspace);
  }
  [[nodiscard]] const S* spectra(const ChunkSystem<const S>&, Workspace&) const noexcept { return tables_.spectra(); }
  void kernel(MatrixView<S> response, Workspace& workspace) const { layer_.kernel(response, workspace); }

 private:
  L layer_;
  Tensor<S, Dynamic> step_;
  detail::SystemTables<S> tables_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
