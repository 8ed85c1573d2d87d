#pragma once

#include <stepscan/layers/chain.hpp>
#include <stepscan/layers/linear.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The state of the scan, under its own names, and room for what one token is before and behind it.
template <Scalar S, class Inner>
struct ProjectedState {
  Inner scan;
  Scratch<S> between;
  static constexpr auto fields() { return std::tuple{Field{"", &ProjectedState::scan}}; }
};

namespace detail {

/// The projections that a Projected has unless it is given others.
template <class Scan>
using ProjectionBefore = Linear<typename Scan::scalar_type, Dynamic, Scan::static_inputs, false>;
template <class Scan>
using ProjectionBehind = Linear<typename Scan::scalar_type, Scan::static_outputs, Dynamic, false>;

}  // namespace detail

/// A layer between two projections of its tokens:
///   y = out_proj(scan(in_proj(x)))
/// for a scan that takes all its inputs as features of one sequence, [q | k | v | gates]: one product makes them all.
/// Runs through blocks of tokens, so that memory does not grow with the sequence. Forms and state are those of the
/// scan; parameters are named in_proj, scan, out_proj.
///   Projected<MinGru<float, 16, 16>, Linear<float, 8, 16>, Linear<float, 16, 8>> layer;
template <SequenceLayer Scan, SequenceLayer InProj = detail::ProjectionBefore<Scan>,
          SequenceLayer OutProj = detail::ProjectionBehind<Scan>>
class Projected : public Layer<Projected<Scan, InProj, OutProj>, typename Scan::scalar_type, InProj::static_inputs,
                               OutProj::static_outputs> {
  using Traits = detail::ChainTraits<InProj, Scan, OutProj>;
  using S = typename Traits::scalar_type;
  static constexpr Index Inputs = Traits::inputs;
  static constexpr Index Outputs = Traits::outputs;
  static_assert(std::same_as<typename InProj::State, NoState> && std::same_as<typename OutProj::State, NoState>,
                "stepscan: the projections of a Projected have no state");

 public:
  static constexpr const char* name = "Projected";
  using State = ProjectedState<S, typename Scan::State>;
  using Forms = typename Traits::Forms;
  using DefaultForm = OwnForm;
  static constexpr bool causal = Traits::causal;
  static constexpr bool any_form = Traits::any_form;
  static constexpr bool keeps_time = Traits::keeps_time;
  static constexpr bool time_invariant = Traits::time_invariant;
  static constexpr Index latency = Traits::latency;
  static constexpr Index receptive_field = Traits::receptive_field;
  template <class Form>
  static constexpr Index block_tokens = Traits::template block_tokens<Form>;

  InProj in_proj;
  Scan scan_layer;
  OutProj out_proj;

  static constexpr auto fields() requires(Tree<InProj>&& Tree<Scan>&& Tree<OutProj>) {
    return std::tuple{Field{"in_proj", &Projected::in_proj}, Field{"scan", &Projected::scan_layer},
                      Field{"out_proj", &Projected::out_proj}};
  }

  Projected() = default;
  /// Throws ShapeError when sizes do not fit.
  Projected(InProj before, Scan scan, OutProj behind)
      : in_proj(std::move(before)), scan_layer(std::move(scan)), out_proj(std::move(behind)) {
    detail::check_neighbours(name, "in_proj", in_proj, "scan", scan_layer);
    detail::check_neighbours(name, "scan", scan_layer, "out_proj", out_proj);
  }
  /// Projections of these sizes around the scan, all zero.
  Projected(Index inputs, Scan scan, Index outputs) requires(
      std::constructible_from<InProj, Index, Index>&& std::constructible_from<OutProj, Index, Index>)
      : in_proj(inputs, scan.input_size()), scan_layer(std::move(scan)), out_proj(scan_layer.output_size(), outputs) {}

  void initialize(Random& random) {
    in_proj.initialize(random);
    scan_layer.initialize(random);
    out_proj.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return in_proj.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return out_proj.output_size(); }
  [[nodiscard]] Index output_time(Index time) const noexcept { return scan_layer.output_time(time); }
  [[nodiscard]] State initial_state(Index batch) const {
    return {scan_layer.initial_state(batch), chain().step_scratch(batch)};
  }

  /// A Projected of the layers' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return of(scan_layer.template plan<Stored, Math>(), in_proj.template plan<Stored, Math>(),
              out_proj.template plan<Stored, Math>());
  }

 private:
  friend Layer<Projected, S, Inputs, Outputs>;

  template <class Inner, class Before, class Behind>
  static Projected<Inner, Before, Behind> of(Inner scan, Before before, Behind behind) {
    return {std::move(before), std::move(scan), std::move(behind)};
  }

  [[nodiscard]] detail::Chain<InProj, Scan, OutProj> chain() const noexcept {
    return detail::Chain<InProj, Scan, OutProj>(in_proj, scan_layer, out_proj);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    NoState none;
    chain().step(std::tie(none, state.scan, none), state.between, x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    NoState none;
    chain().scan(form, std::tie(none, state.scan, none), x, y, workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
