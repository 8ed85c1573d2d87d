#pragma once

#include <stepscan/core/complex_tensor.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/layers/system_chunk.hpp>
#include <stepscan/ops/diagonal_kernel.hpp>
#include <stepscan/ops/diagonal_recurrence.hpp>
#include <stepscan/ops/linear_system_convolution.hpp>

/// What the layers of diagonal time-invariant systems share: S4d, Dss.
namespace stepscan::inline STEPSCAN_ISA {

/// h [batch, Modes, Features], channels contiguous, so that a step loads and stores whole registers of channels; and
/// the scratch of one step.
template <Scalar S, Index Features, Index Modes>
struct DiagonalState {
  ComplexTensor<S, Dynamic, Modes, Features> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &DiagonalState::h}}; }

  [[nodiscard]] SystemStates<S> view() noexcept { return {{h.re.data(), h.im.data()}}; }
  [[nodiscard]] SystemStates<const S> view() const noexcept { return {{h.re.data(), h.im.data()}}; }
};

/// A layer or plan. Self provides modes(), has_input, and
///   step_system(scratch)           what a step takes, from or in `scratch`
///   system(workspace)              the modes in double
///   operators(chunk, workspace)    the chunk operators
template <class Self, Scalar S, Index Features, Index Modes, class Default>
class DiagonalLayer : public Layer<Self, S, Features, Features> {
 public:
  using State = DiagonalState<S, Features, Modes>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>, Convolution>;
  using DefaultForm = Default;
  static constexpr bool time_invariant = true;

  [[nodiscard]] Index output_size() const noexcept { return self().input_size(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    return {decltype(State::h)(batch, self().modes(), self().input_size()), Scratch<S>(self().step_room())};
  }

  /// Writes the impulse response without the skip, kernel [features, length].
  void kernel(MatrixView<S> kernel, Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    diagonal_kernel<S>(self().system(workspace), kernel, workspace);
  }

 protected:
  DiagonalLayer() = default;

 private:
  friend Layer<Self, S, Features, Features>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    diagonal_system_step<S>(self().step_system(state.scratch.data()), x, state.h.re.data(), state.h.im.data(), y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    if constexpr (std::same_as<Form, Recurrent>) {
      const DiagonalStep<S> step = self().step_system(workspace.take<S>(self().step_room()));
      diagonal_system_recurrence<S>(step, x, state.h.re.data(), state.h.im.data(), y, workspace);
    } else {
      const Index chunk = detail::system_chunk(form, 2 * self().modes(), false);
      const ChunkSystem<const S> operators = self().operators(chunk, workspace);
      if constexpr (std::same_as<Form, Convolution>) {
        const MatrixView<S> response = workspace.matrix<S, Dynamic>(self().input_size(), x.time);
        kernel(response, workspace);
        linear_system_convolution<S>(operators, response, x, state.view(), y, workspace);
      } else {
        linear_system_scan<S>(operators, x, state.view(), y, detail::schedule_of(form), workspace);
      }
    }
  }
};

/// A layer whose system follows from parameters: Self provides mode(feature, n) and skip(feature).
template <class Self, Scalar S, Index Features, Index Modes, class Default>
class DiagonalModel : public DiagonalLayer<Self, S, Features, Modes, Default> {
 public:
  [[nodiscard]] Index step_room() const noexcept { return DiagonalStep<S>::size(features(), modes(), Self::has_input); }

  [[nodiscard]] DiagonalStep<S> step_system(S* scratch) const noexcept { return fill<DiagonalStep<S>>(scratch); }

  [[nodiscard]] DiagonalSystem system(Workspace& workspace) const {
    return fill<DiagonalSystem>(workspace.take<double>(DiagonalSystem::size(features(), modes(), Self::has_input)));
  }

  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const DiagonalSystem modes = system(workspace);
    const Index size = system_shape(modes, chunk).operators_size() * features();
    return diagonal_chunk_system<S>(modes, chunk, workspace.take<S>(size), workspace);
  }

 protected:
  DiagonalModel() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index features() const noexcept { return self().input_size(); }
  [[nodiscard]] Index modes() const noexcept { return self().modes(); }

  template <class Planes, class T>
  [[nodiscard]] Planes fill(T* memory) const noexcept {
    return Planes::fill(
        features(), modes(), Self::has_input, memory, [&](Index f, Index n) { return self().mode(f, n); },
        [&](Index f) { return self().skip(f); });
  }
};

/// A diagonal layer L ready for inference: its discretised modes, and the chunk operators of its default form.
template <class L, Scalar S, Index Features, Index Modes, class Default>
class DiagonalPlan : public DiagonalLayer<DiagonalPlan<L, S, Features, Modes, Default>, S, Features, Modes, Default> {
 public:
  static constexpr const char* name = L::plan_name;
  static constexpr bool has_input = L::has_input;

  explicit DiagonalPlan(const L& layer)
      : features_(layer.input_size()),
        modes_(layer.modes()),
        chunk_(detail::system_chunk(Default{}, 2 * layer.modes(), false)),
        system_(DiagonalSystem::size(features_, modes_, has_input)),
        step_(layer.step_room()) {
    Workspace workspace;
    const DiagonalSystem modes = layer.system(workspace);
    std::copy_n(modes.a[0], system_.size(), system_.data());
    static_cast<void>(layer.step_system(step_.data()));
    operators_ = Tensor<S, Dynamic>(system_shape(modes, chunk_).operators_size() * features_);
    static_cast<void>(diagonal_chunk_system<S>(modes, chunk_, operators_.data(), workspace));
  }

  [[nodiscard]] Index input_size() const noexcept { return features_; }
  [[nodiscard]] Index modes() const noexcept { return modes_; }
  [[nodiscard]] Index step_room() const noexcept { return 0; }

  [[nodiscard]] DiagonalStep<S> step_system(S*) const noexcept {
    return DiagonalStep<S>::at(features_, modes_, has_input, step_.data());
  }
  [[nodiscard]] DiagonalSystem system(Workspace&) const noexcept {
    return DiagonalSystem::at(features_, modes_, has_input, system_.data());
  }
  [[nodiscard]] ChunkSystem<const S> operators(Index chunk, Workspace& workspace) const {
    const DiagonalSystem modes = system(workspace);
    const SystemShape shape = system_shape(modes, chunk);
    if (chunk == chunk_) return {shape, operators_.data()};
    return diagonal_chunk_system<S>(modes, chunk, workspace.take<S>(shape.operators_size() * features_), workspace);
  }

 private:
  [[no_unique_address]] Extent<Features> features_;
  [[no_unique_address]] Extent<Modes> modes_;
  Index chunk_;
  Tensor<double, Dynamic> system_;
  Tensor<S, Dynamic> step_;
  Tensor<S, Dynamic> operators_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
