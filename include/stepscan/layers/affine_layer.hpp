#pragma once

#include <stepscan/kernels/math.hpp>
#include <stepscan/layers/initialize.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/affine_scan_gated.hpp>
#include <stepscan/ops/linear.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// h [batch, hidden] and the scratch of one step.
template <Scalar S, Index Hidden>
struct AffineState {
  Tensor<S, Dynamic, Hidden> h;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"h", &AffineState::h}}; }
};

/// What layers and plans share whose state is scanned by maps h -> decay h + input made from W x + b by a cell: sizes,
/// state and forms. Self provides input_size(), output_size(), project(x, pre) for the rows of a step, and
/// with_packed_weights(workspace, f), which calls f(AffineGateWeights, math).
template <class Self, class Cell, class Math, Scalar S, Index Inputs, Index Hidden, class Default>
class AffineLayer : public Layer<Self, S, Inputs, Hidden> {
 public:
  using CellType = Cell;
  using State = AffineState<S, Hidden>;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    return {Tensor<S, Dynamic, Hidden>(batch, self().output_size()), Scratch<S>(batch * width())};
  }

 protected:
  AffineLayer() = default;

 private:
  friend Layer<Self, S, Inputs, Hidden>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] Index width() const noexcept { return static_cast<Index>(Cell::gates) * self().output_size(); }

  void step_rows(MatrixView<S> h, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> y, S* scratch) const noexcept {
    const MatrixView<S> pre(scratch, Index{x.rows}, width());
    self().project(x, pre);
    gated_affine_step<Cell, Math, S>(pre, h, y);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> y) const noexcept {
    step_rows(state.h, x, y, state.scratch.data());
  }

  void run_scan(Recurrent, State& state, SequenceView<const S, Inputs> x, SequenceView<S> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    S* scratch = workspace.template take<S>(x.batch * width());
    for (Index t = 0; t < x.time; ++t) {
      for_each_active_run(x, y, t, [&](Index first, Index count) {
        step_rows(MatrixView<S>(state.h).middle_rows(first, count), x.frame(t, first, count), y.frame(t, first, count),
                  scratch);
      });
    }
    clear_padding(x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S> y,
                Workspace& workspace) const {
    self().with_packed_weights(workspace, [&](const auto& weights, auto math) {
      gated_affine_scan<Cell, decltype(math), S>(weights, state.h, x, y, detail::schedule_of(form), workspace);
    });
  }
};

/// Ready for inference: weights packed once.
template <class Cell, Scalar S, Index Inputs, Index Hidden, class Default, class Stored, class Math>
class AffinePlan : public AffineLayer<AffinePlan<Cell, S, Inputs, Hidden, Default, Stored, Math>, Cell, Math, S, Inputs,
                                      Hidden, Default> {
  static constexpr Index Rows = static_product(static_cast<Index>(Cell::gates), Hidden);

 public:
  static constexpr const char* name = "AffinePlan";

  AffinePlan(MatrixView<const S> weight, const Tensor<S, Rows>& bias) : weight_(weight), bias_(bias) {}

  [[nodiscard]] Index input_size() const noexcept { return weight_.view().cols; }
  [[nodiscard]] Index output_size() const noexcept { return bias_.size() / static_cast<Index>(Cell::gates); }

 private:
  friend AffineLayer<AffinePlan, Cell, Math, S, Inputs, Hidden, Default>;

  void project(MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> pre) const noexcept {
    weight_.view().multiply(x, {bias_.data(), Index{x.rows}, bias_.size(), 0}, pre);
  }
  template <class F>
  void with_packed_weights(Workspace&, F&& f) const {
    f(AffineGateWeights<S, Stored>{weight_.view().dynamic(), bias_.data()}, Math{});
  }

  PackedMatrix<S, Rows, Inputs, Stored> weight_;
  Tensor<S, Rows> bias_;
};

/// A layer of this kind with its parameters, gates in the cell's order:
///   weight [gates * Hidden, Inputs], bias [gates * Hidden]
/// x [batch, time, Inputs], y = h [batch, time, Hidden]; state h [batch, Hidden]. Used by its names: MinGru, MinLstm.
template <class Cell, class Named, Scalar S, Index Inputs, Index Hidden, class Default = Chunked<>>
class AffineRecurrence : public AffineLayer<AffineRecurrence<Cell, Named, S, Inputs, Hidden, Default>, Cell, Exact, S,
                                            Inputs, Hidden, Default> {
  static constexpr Index gates = static_cast<Index>(Cell::gates);
  static constexpr Index Rows = static_product(gates, Hidden);

 public:
  static constexpr const char* name = Named::name;

  Tensor<S, Rows, Inputs> weight;
  Tensor<S, Rows> bias;

  static constexpr auto fields() {
    return std::tuple{Field{"weight", &AffineRecurrence::weight}, Field{"bias", &AffineRecurrence::bias}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  AffineRecurrence() = default;
  AffineRecurrence(Index inputs, Index hidden) : weight(gates * hidden, inputs), bias(gates * hidden) {}

  /// Uniform in +-1 / sqrt(inputs), as torch.nn.Linear.
  void initialize(Random& random) { detail::fill_uniform(*this, input_size(), random); }

  [[nodiscard]] Index input_size() const noexcept { return weight.extent(1); }
  [[nodiscard]] Index output_size() const noexcept { return bias.size() / gates; }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    return AffinePlan<Cell, S, Inputs, Hidden, Default, Stored, Chosen>(weight, bias);
  }

  /// Calls f(weights, Exact) with the parameters packed into the workspace.
  template <class F>
  void with_packed_weights(Workspace& workspace, F&& f) const {
    const Workspace::Scope scope(workspace);
    f(AffineGateWeights<S>{packed<S>(weight, workspace), bias.data()}, Exact{});
  }

 private:
  friend AffineLayer<AffineRecurrence, Cell, Exact, S, Inputs, Hidden, Default>;

  void project(MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> pre) const noexcept {
    plain_linear<S>(weight, bias.data(), x, pre);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
