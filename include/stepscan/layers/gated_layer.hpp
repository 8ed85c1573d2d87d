#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/ops/gated_recurrence.hpp>
#include <stepscan/ops/gated_team.hpp>
#include <stepscan/ops/newton.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class Math>
using MathOr = std::conditional_t<std::is_void_v<Math>, Exact, Math>;

template <bool HasNewton>
using GatedForms =
    std::conditional_t<HasNewton, std::tuple<Recurrent, Chunked<>, Newton<Jacobian::full>, Newton<Jacobian::diagonal>>,
                       std::tuple<Recurrent, Chunked<>>>;

}  // namespace detail

/// The cell's state and the scratch of one step.
template <class Cell, Scalar S, Index Hidden>
struct GatedState : Cell::template State<S, Hidden> {
  Scratch<S> scratch;
  bool backwards = false;  ///< the way in which the next step walks over its weights; no part of the value
};

/// What all gated recurrences share, layers and plans: sizes, state, and the forms. Self provides head_count(),
/// head_dim(), input_size(), and the weights to multiply with: with_step_weights(f) and with_packed_weights(workspace,
/// f) call f(weights, math).
template <class Self, class Cell, Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default>
class GatedLayer : public Layer<Self, S, Inputs, static_product(Heads, HeadDim)> {
 public:
  static constexpr Index Hidden = static_product(Heads, HeadDim);
  using CellType = Cell;
  using State = GatedState<Cell, S, Hidden>;
  using DefaultForm = Default;
  using Forms = detail::GatedForms<(Heads == 1 && Cell::states <= 2)>;

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    State state;
    for_each_tensor([&](const Path&, auto& tensor) { tensor = Tensor<S, Dynamic, Hidden>(batch, output_size()); },
                    state);
    state.scratch = Scratch<S>(batch * step_scratch<Cell>(output_size()));
    return state;
  }

  [[nodiscard]] Index output_size() const noexcept { return self().head_count() * self().head_dim(); }

 protected:
  GatedLayer() = default;

 private:
  friend Layer<Self, S, Inputs, Hidden>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> y) const noexcept {
    self().with_step_weights([&](const auto& weights, auto math) {
      state.backwards = !state.backwards;
      stepscan::step<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(state), x, y, state.scratch.data(),
                                                      state.backwards);
    });
  }

  void run_scan(Recurrent, State& state, SequenceView<const S, Inputs> x, SequenceView<S> y,
                Workspace& workspace) const {
    self().with_step_weights([&](const auto& weights, auto math) {
      scan_recurrent<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(state), x, y, workspace);
    });
  }

  template <Index Tokens>
  void run_scan(Chunked<Tokens>, State& state, SequenceView<const S, Inputs> x, SequenceView<S> y,
                Workspace& workspace) const {
    self().with_packed_weights(workspace, [&](const auto& weights, auto math) {
      if constexpr (Heads == 1 && !Cell::late_candidate && (Hidden == Dynamic || Hidden >= team_hidden)) {
        const int team = x.batch == 1 && weights.projects() ? team_size<S>(output_size(), max_threads()) : 1;
        if (team > 1) {
          scan_team<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(state), x, y, Tokens, team, workspace);
          return;
        }
      }
      scan_chunked<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(state), x, y, Tokens, workspace);
    });
  }

  template <Jacobian Kind, Index Tokens>
  void run_scan(const Newton<Kind, Tokens>& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S> y,
                Workspace& workspace) const {
    self().with_packed_weights(workspace, [&](const auto& weights, auto math) {
      const NewtonOptions options{form.damping, form.tolerance, form.max_iterations, Tokens};
      const NewtonOutcome outcome = scan_newton<Cell, Kind == Jacobian::full, decltype(math), S, Inputs>(
          weights, state_rows<Cell>(state), x, y, options, workspace);
      if (form.report != nullptr) *form.report = {outcome.iterations, outcome.residual, outcome.fell_back};
    });
  }
};

/// A gated recurrence ready for inference: weights packed once, biases merged. Recurrent weights beyond the
/// first cache level are there twice, packed for many rows and for one (ops/gated_row.hpp).
template <class Cell, Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default, class Stored, class Math>
class GatedPlan : public GatedLayer<GatedPlan<Cell, S, Inputs, Heads, HeadDim, Default, Stored, Math>, Cell, S, Inputs,
                                    Heads, HeadDim, Default> {
  using Weights = PackedGates<Cell, S, Inputs, Heads, HeadDim, Stored>;
  static constexpr bool has_row = requires(const Weights& weights) { weights.row_weights(); };

 public:
  static constexpr const char* name = "GatedPlan";

  explicit GatedPlan(const typename Weights::Parameters& p)
      : projects_(p.input.data != nullptr),
        inputs_(p.input.cols),
        heads_(p.heads),
        dim_(p.head_dim()),
        weights_(Weights::weight_count(p)),
        bias_(Weights::bias_count(p)) {
    Weights::pack(p, weights_.data(), bias_.data());
    if constexpr (has_row) {
      if (!row_pays<Cell, Stored>(heads_, dim_)) return;
      row_weights_ = Tensor<Stored, Dynamic>(GatedRow<Cell, S, HeadDim, Stored>::weight_count(dim_));
      GatedRow<Cell, S, HeadDim, Stored>::pack(p, row_weights_.data());
    }
  }

  [[nodiscard]] Index input_size() const noexcept { return inputs_; }
  [[nodiscard]] Index head_count() const noexcept { return heads_; }
  [[nodiscard]] Index head_dim() const noexcept { return dim_; }

 private:
  friend GatedLayer<GatedPlan, Cell, S, Inputs, Heads, HeadDim, Default>;

  [[nodiscard]] Weights weights() const noexcept {
    return {projects_, inputs_, heads_, dim_, weights_.data(), bias_.data(), has_row ? row_weights_.data() : nullptr};
  }
  template <class F>
  void with_step_weights(F&& f) const noexcept {
    f(weights(), Math{});
  }
  template <class F>
  void with_packed_weights(Workspace&, F&& f) const {
    f(weights(), Math{});
  }

  bool projects_;
  [[no_unique_address]] Extent<Inputs> inputs_;
  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<HeadDim> dim_;
  Tensor<Stored, Dynamic> weights_;
  Tensor<Stored, Dynamic> row_weights_;
  Tensor<S, Dynamic> bias_;
};

/// The forms of a layer that owns its parameters, from parameters(): GateParameters of its members.
template <class Self, class Cell, Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default>
class GatedParameterLayer : public GatedLayer<Self, Cell, S, Inputs, Heads, HeadDim, Default> {
 public:
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return GatedPlan<Cell, S, Inputs, Heads, HeadDim, Default, Stored, detail::MathOr<Math>>(self().parameters());
  }

  /// Calls f(weights, Exact) with the parameters packed into the workspace.
  template <class F>
  void with_packed_weights(Workspace& workspace, F&& f) const {
    using Weights = PackedGates<Cell, S, Inputs, Heads, HeadDim>;
    const Workspace::Scope scope(workspace);
    const auto p = self().parameters();
    S* weights = workspace.template take<S>(Weights::weight_count(p));
    S* bias = workspace.template take<S>(Weights::bias_count(p));
    Weights::pack(p, weights, bias);
    f(Weights(p, weights, bias), Exact{});
  }

 protected:
  GatedParameterLayer() = default;

 private:
  friend GatedLayer<Self, Cell, S, Inputs, Heads, HeadDim, Default>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  template <class F>
  void with_step_weights(F&& f) const noexcept {
    const auto p = self().parameters();
    f(PlainGates<Cell, S, Inputs, Heads, HeadDim>(p), Exact{});
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
