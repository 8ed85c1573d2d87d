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

template <class... Ls>
concept MadeOfSizes = (std::constructible_from<Ls, Index, Index> && ...);

/// The states of a Projected's layers.
template <class... Gates, class State>
[[nodiscard]] auto projected_states(NoState& none, State& scan) noexcept {
  if constexpr (sizeof...(Gates) == 0) {
    return std::tie(none, scan, none);
  } else {
    return std::tie(none, none, scan, none);
  }
}

}  // namespace detail

/// A layer between two projections of its tokens:
///   y = out_proj(scan(gates(in_proj(x))))
/// for a scan that takes all its inputs as features of one sequence, [q | k | v | gates]: one product makes them all.
/// Gates is none, or one layer without state: the activations of the scan's inputs (layers/parts.hpp).
/// Runs through blocks of tokens, so that memory does not grow with the sequence. Forms and state are those of the
/// scan; parameters are named in_proj, gates, scan, out_proj.
///   Projected<MinGru<float, 16, 16>, Linear<float, 8, 16>, Linear<float, 16, 8>> layer;
template <SequenceLayer Scan, SequenceLayer InProj = detail::ProjectionBefore<Scan>,
          SequenceLayer OutProj = detail::ProjectionBehind<Scan>, SequenceLayer... Gates>
class Projected : public Layer<Projected<Scan, InProj, OutProj, Gates...>, typename Scan::scalar_type,
                               InProj::static_inputs, OutProj::static_outputs> {
  using Traits = detail::ChainTraits<InProj, Gates..., Scan, OutProj>;
  using S = typename Traits::scalar_type;
  static constexpr Index Inputs = Traits::inputs;
  static constexpr Index Outputs = Traits::outputs;
  static_assert(std::same_as<typename InProj::State, NoState> && std::same_as<typename OutProj::State, NoState> &&
                    (std::same_as<typename Gates::State, NoState> && ...),
                "stepscan: the projections and gates of a Projected have no state");
  static_assert(sizeof...(Gates) <= 1, "stepscan: a Projected has one layer of gates at most");

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
  std::tuple<Gates...> gates;
  Scan scan_layer;
  OutProj out_proj;

  static constexpr auto fields() requires(Trees<InProj, Scan, OutProj, Gates...>) {
    const Field before{"in_proj", &Projected::in_proj};
    const Field scan{"scan", &Projected::scan_layer};
    const Field behind{"out_proj", &Projected::out_proj};
    if constexpr (sizeof...(Gates) == 0) {
      return std::tuple{before, scan, behind};
    } else {
      constexpr auto only = [](auto& self) -> auto& { return std::get<0>(self.gates); };
      return std::tuple{before, Field{"gates", only}, scan, behind};
    }
  }

  Projected() = default;
  /// Throws ShapeError when sizes do not fit.
  Projected(InProj before, Scan scan, OutProj behind, Gates... activations)
      : in_proj(std::move(before)),
        gates(std::move(activations)...),
        scan_layer(std::move(scan)),
        out_proj(std::move(behind)) {
    check_sizes();
  }
  /// Projections of these sizes around the scan, all zero.
  Projected(Index inputs, Scan scan, Index outputs, Gates... activations) requires(detail::MadeOfSizes<InProj, OutProj>)
      : in_proj(inputs, scan.input_size()),
        gates(std::move(activations)...),
        scan_layer(std::move(scan)),
        out_proj(scan_layer.output_size(), outputs) {
    check_sizes();
  }

  /// Every part as it initialises itself, and the projections as the scan says, where it does.
  void initialize(Random& random) {
    in_proj.initialize(random);
    out_proj.initialize(random);
    if constexpr (requires { Scan::projection_start(scan_layer, in_proj, out_proj, random); }) {
      Scan::projection_start(scan_layer, in_proj, out_proj, random);
    }
    std::apply([&](auto&... gate) { (gate.initialize(random), ...); }, gates);
    scan_layer.initialize(random);
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
    return std::apply(
        [&](const auto&... gate) {
          return of(scan_layer.template plan<Stored, Math>(), in_proj.template plan<Stored, Math>(),
                    out_proj.template plan<Stored, Math>(), gate.template plan<Stored, Math>()...);
        },
        gates);
  }

  /// The layers one behind the other.
  [[nodiscard]] auto chained() noexcept { return chained(*this); }
  [[nodiscard]] auto chained() const noexcept { return chained(*this); }

 private:
  friend Layer<Projected, S, Inputs, Outputs>;

  template <class Inner, class Before, class Behind, class... Activations>
  static Projected<Inner, Before, Behind, Activations...> of(Inner scan, Before before, Behind behind,
                                                             Activations... activations) {
    return {std::move(before), std::move(scan), std::move(behind), std::move(activations)...};
  }

  template <class Self>
  static auto chained(Self& self) noexcept {
    return std::apply([&](auto&... gate) { return std::tie(self.in_proj, gate..., self.scan_layer, self.out_proj); },
                      self.gates);
  }
  [[nodiscard]] detail::Chain<InProj, Gates..., Scan, OutProj> chain() const noexcept {
    return std::make_from_tuple<detail::Chain<InProj, Gates..., Scan, OutProj>>(chained());
  }

  void check_sizes() const {
    if constexpr (sizeof...(Gates) == 0) {
      detail::check_neighbours(name, "in_proj", in_proj, "scan", scan_layer);
    } else {
      detail::check_neighbours(name, "in_proj", in_proj, "gates", std::get<0>(gates));
      detail::check_neighbours(name, "gates", std::get<0>(gates), "scan", scan_layer);
    }
    detail::check_neighbours(name, "scan", scan_layer, "out_proj", out_proj);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    NoState none;
    chain().step(detail::projected_states<Gates...>(none, state.scan), state.between, x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    NoState none;
    chain().scan(form, detail::projected_states<Gates...>(none, state.scan), x, y, workspace);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
