#pragma once

#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/gated_average.hpp>
#include <stepscan/ops/tokens.hpp>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA {

/// How branches over one input become one output.
enum class Join {
  sum,            ///< y = sum_i f_i(x)
  concat,         ///< y = [f_0(x) | f_1(x) | ...]
  gated_average,  ///< y = sum_i w_i f_i(x), w = softmax(W x + b), one weight for each branch and token
};

/// The states of the branches, named 0, 1, ..., and room for one token of what they give.
template <Scalar S, class... States>
struct BranchesState {
  std::tuple<States...> layers;
  Scratch<S> outputs;
  static constexpr auto fields() { return std::tuple{Field{"", &BranchesState::layers}}; }
};

namespace detail {

/// The sizes stand in the type's name, where the compiler shows them.
template <Join How, class First, class Other, Index FirstInputs, Index OtherInputs, Index FirstOutputs,
          Index OtherOutputs>
struct BranchSizes {
  static_assert(compatible(FirstInputs, OtherInputs),
                "stepscan: the branches of one input take different numbers of features");
  static_assert(How == Join::concat || compatible(FirstOutputs, OtherOutputs),
                "stepscan: branches that are summed or averaged give different numbers of features");
  static constexpr bool fit = true;
};

template <Join How, SequenceLayer First, SequenceLayer... Rest>
struct BranchTraits {
  using S = typename First::scalar_type;
  static_assert((std::same_as<S, typename Rest::scalar_type> && ...), "stepscan: branches have one scalar type");
  static_assert((BranchSizes<How, First, Rest, First::static_inputs, Rest::static_inputs, First::static_outputs,
                             Rest::static_outputs>::fit &&
                 ...));
  static_assert((First::keeps_time && ... && Rest::keeps_time), "stepscan: a branch changes the number of tokens");

  static constexpr bool gated = How == Join::gated_average;
  static constexpr Index count = 1 + static_cast<Index>(sizeof...(Rest));
  static constexpr Index inputs = std::max({First::static_inputs, Rest::static_inputs...});
  static constexpr Index all_outputs() {
    Index total = First::static_outputs;
    ((total = static_sum(total, Rest::static_outputs)), ...);
    return total;
  }
  static constexpr Index outputs =
      How == Join::concat ? all_outputs() : std::max({First::static_outputs, Rest::static_outputs...});
  using Gate = std::conditional_t<gated, Linear<S, inputs, count>, NoParameter>;

  static constexpr Index receptive_field() {
    Index field = First::receptive_field;
    ((field = widest_field(field, Rest::receptive_field)), ...);
    return field;
  }
};

}  // namespace detail

/// Layers side by side on the same input, their outputs summed, concatenated or averaged by a gate:
///   Branches<Join::concat, Gru<float, 8, 16>, CausalConv1d<float, 8, 4>> layer;
/// Parameters and states are named 0, 1, ... as the branches are, the gate's gate.weight [branches, inputs] and
/// gate.bias. A causal one runs through blocks of tokens unless its outputs are concatenated, which needs no room.
template <Join How, SequenceLayer First, SequenceLayer... Rest>
class Branches : public Layer<Branches<How, First, Rest...>, typename First::scalar_type,
                              detail::BranchTraits<How, First, Rest...>::inputs,
                              detail::BranchTraits<How, First, Rest...>::outputs> {
  using Traits = detail::BranchTraits<How, First, Rest...>;
  using S = typename First::scalar_type;
  static constexpr Index Inputs = Traits::inputs;
  static constexpr Index Outputs = Traits::outputs;

 public:
  static constexpr const char* name = "Branches";
  using State = BranchesState<S, typename First::State, typename Rest::State...>;
  using Forms = detail::CommonForms<First, Rest...>;
  using DefaultForm = OwnForm;
  static constexpr bool causal = (First::causal && ... && Rest::causal);
  static constexpr bool any_form = (First::any_form && ... && Rest::any_form);
  static constexpr bool time_invariant = !Traits::gated && (First::time_invariant && ... && Rest::time_invariant);
  static constexpr Index latency = std::max({First::latency, Rest::latency...});
  static constexpr Index receptive_field = Traits::receptive_field();
  template <class Form>
  static constexpr Index block_tokens = detail::block_of_layers<Form, First, Rest...>;

  std::tuple<First, Rest...> layers;
  [[no_unique_address]] typename Traits::Gate gate;

  static constexpr auto fields() requires(Trees<First, Rest...>) {
    return std::tuple{Field{"", &Branches::layers}, Field{"gate", &Branches::gate}};
  }

  Branches() = default;
  /// The gate all zero. Throws ShapeError when sizes do not fit.
  explicit Branches(First first, Rest... rest) : layers(std::move(first), std::move(rest)...) {
    gate = typename Traits::Gate(input_size(), Traits::count);
    for_each_branch([&](const auto& branch, auto, Index) {
      if (branch.input_size() != input_size() || (How != Join::concat && branch.output_size() != output_size())) {
        fail<ShapeError>("Branches: expected branches of one size, found " + std::get<0>(layers).description() +
                         " and " + branch.description());
      }
    });
  }

  void initialize(Random& random) {
    std::apply([&](auto&... layer) { (layer.initialize(random), ...); }, layers);
    gate.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return std::get<0>(layers).input_size(); }
  [[nodiscard]] Index output_size() const noexcept {
    return How == Join::concat ? joined_size() : Index{std::get<0>(layers).output_size()};
  }
  [[nodiscard]] State initial_state(Index batch) const {
    return std::apply(
        [&](const auto&... layer) {
          return State{{layer.initial_state(batch)...}, Scratch<S>(batch * (room() + Traits::count))};
        },
        layers);
  }

  /// Branches of the layers' plans. The gate stays as it is.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return std::apply(
        [&](const auto&... layer) {
          Branches<How, decltype(layer.template plan<Stored, Math>())...> planned(
              layer.template plan<Stored, Math>()...);
          planned.gate = gate;
          return planned;
        },
        layers);
  }

  /// Calls f(branch, its number as a constant, the first of its features in [f_0 | f_1 | ...]).
  template <class F>
  void for_each_branch(F&& f) const {
    Index first = 0;
    const auto visit = [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((f(std::get<I>(layers), std::integral_constant<std::size_t, I>{}, first),
        first += std::get<I>(layers).output_size()),
       ...);
    };
    visit(std::index_sequence_for<First, Rest...>{});
  }

  /// The features of [f_0 | f_1 | ...].
  [[nodiscard]] Index joined_size() const noexcept {
    return std::apply([](const auto&... layer) { return (Index{layer.output_size()} + ...); }, layers);
  }

  /// y of the real tokens of x from [f_0 | f_1 | ...] and, where there is a gate, its scores, which become its weights.
  static void join(SequenceView<const S, Inputs> x, SequenceView<const S> outputs, SequenceView<S> weights,
                   SequenceView<S, Outputs> y) noexcept {
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) {
        join_token(outputs.token(b, t), Traits::gated ? weights.token(b, t) : nullptr, y.token(b, t), y.features);
      }
    }
    clear_padding(x, y);
  }

 private:
  friend Layer<Branches, S, Inputs, Outputs>;

  /// What must be kept of the outputs of one token before they are joined.
  [[nodiscard]] Index room() const noexcept { return How == Join::concat ? 0 : joined_size(); }

  static void join_token(const S* outputs, S* weights, S* y, Index features) noexcept {
    if (weights != nullptr) softmax_row<S>(weights, Traits::count);
    weighted_sum<S>(outputs, weights, Traits::count, y, features);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    MatrixView<S> outputs = y;
    if constexpr (How != Join::concat) outputs = {state.outputs.data(), Index{x.rows}, joined_size()};
    for_each_branch([&](const auto& branch, auto number, Index first) {
      branch.step(std::get<number>(state.layers), x, outputs.middle_cols(first, branch.output_size()));
    });
    if constexpr (How != Join::concat) {
      const MatrixView<S> weights(outputs.data + x.rows * joined_size(), Index{x.rows}, Index{Traits::count});
      NoState none;
      if constexpr (Traits::gated) gate.step(none, x, weights);
      for (Index r = 0; r < x.rows; ++r) {
        join_token(outputs.row(r), Traits::gated ? weights.row(r) : nullptr, y.row(r), y.cols);
      }
    }
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    detail::clear_report(form);
    if constexpr (How == Join::concat) {
      scan_branches(form, state, x, y, workspace);
    } else {
      const Workspace::Scope scope(workspace);
      const Index tokens = std::min(block_tokens<Form>, x.time);
      S* const memory = workspace.template take<S>(x.batch * tokens * joined_size());
      S* const weight_memory = workspace.template take<S>(x.batch * tokens * Traits::count);
      for (Index start = 0; start < x.time; start += tokens) {
        const auto in = x.slice(start, std::min(tokens, x.time - start));
        const detail::BetweenLayers shape(in);
        const auto outputs = shape.template view<Dynamic>(memory, joined_size());
        const auto weights = shape.template view<Traits::count>(weight_memory, Traits::count);
        scan_branches(form, state, in, outputs, workspace);
        NoState none;
        if constexpr (Traits::gated) gate.scan(none, in, weights, workspace, form);
        join(in, outputs, weights, y.slice(start, in.time));
      }
    }
  }

  template <class Form>
  void scan_branches(const Form& form, State& state, const SequenceView<const S, Inputs>& x, SequenceView<S> outputs,
                     Workspace& workspace) const {
    for_each_branch([&](const auto& branch, auto number, Index first) {
      detail::scan_part(branch, form, std::get<number>(state.layers), x,
                        outputs.middle_features(first, Extent<Dynamic>(branch.output_size())), workspace);
    });
  }
};

/// Keeps the branches' tapes and, where there is a gate, their outputs and weights.
template <Join How, class... Layers>
struct Training<Branches<How, Layers...>> {
  using L = Branches<How, Layers...>;
  using Traits = detail::BranchTraits<How, Layers...>;
  using S = typename L::scalar_type;
  using Input = SequenceView<const S, L::static_inputs>;
  using Output = SequenceView<S, L::static_outputs>;

  template <class Gate>
  struct GateTape {
    typename Training<Gate>::Tape tape;
  };
  struct NoGate {};

  struct Tape {
    std::tuple<typename Training<Layers>::Tape...> layers;
    [[no_unique_address]] std::conditional_t<Traits::gated, GateTape<typename Traits::Gate>, NoGate> gate;
    Input x;
    Tensor<S, Dynamic> outputs;  ///< [f_0 | f_1 | ...]
    Tensor<S, Dynamic> weights;  ///< of the gate; then the cotangents of its scores
    Tensor<S, Dynamic> doutputs;
    Tensor<S, Dynamic> dx;  ///< of one branch
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state, const Input& x, const Output& y,
                      Tape& tape) {
    tape.x = x;
    SequenceView<S> outputs = y;
    if constexpr (How != Join::concat) outputs = between(x, tape.outputs, layer.joined_size());
    layer.for_each_branch([&](const auto& branch, auto number, Index first) {
      branch.forward(std::get<number>(state.layers), x,
                     outputs.middle_features(first, Extent<Dynamic>(branch.output_size())),
                     std::get<number>(tape.layers), form);
    });
    if constexpr (How != Join::concat) {
      const SequenceView<S> weights = between(x, tape.weights, Traits::gated ? Traits::count : 0);
      NoState none;
      if constexpr (Traits::gated) layer.gate.forward(none, x, weights, tape.gate.tape, form);
      L::join(x, outputs, weights, y);
    }
  }

  static void backward(const L& layer, Tape& tape, const SequenceView<const S, L::static_outputs>& dy,
                       const typename L::State& dstate_end, L& gradient, const SequenceView<S, L::static_inputs>& dx,
                       typename L::State& dstate_start) {
    const SequenceView<S> more_dx = between(tape.x, tape.dx, dx.features);
    SequenceView<const S> doutputs = dy;
    if constexpr (Traits::gated) doutputs = through_gate(layer, tape, dy, gradient, dx);
    layer.for_each_branch([&](const auto& branch, auto number, Index first) {
      const bool writes = number == 0 && !Traits::gated;
      branch.backward(std::get<number>(tape.layers),
                      doutputs.middle_features(How == Join::sum ? 0 : first, Extent<Dynamic>(branch.output_size())),
                      std::get<number>(dstate_end.layers), std::get<number>(gradient.layers),
                      writes ? SequenceView<S>(dx) : more_dx, std::get<number>(dstate_start.layers));
      if (!writes) add_tokens<S>(more_dx, dx);
    });
  }

 private:
  static SequenceView<S> between(const Input& x, Tensor<S, Dynamic>& memory, Index features) {
    return detail::BetweenLayers(x).template view<Dynamic>(room_in(memory, x.batch * x.time * features), features);
  }

  /// The cotangents of the branches' outputs. Writes dx by way of the gate.
  static SequenceView<const S> through_gate(const L& layer, Tape& tape,
                                            const SequenceView<const S, L::static_outputs>& dy, L& gradient,
                                            const SequenceView<S, L::static_inputs>& dx) {
    const SequenceView<S> outputs = between(tape.x, tape.outputs, layer.joined_size()),
                          weights = between(tape.x, tape.weights, Traits::count),
                          doutputs = between(tape.x, tape.doutputs, layer.joined_size());
    for (Index b = 0; b < tape.x.batch; ++b) {
      for (Index t = 0; t < tape.x.length(b); ++t) {
        gated_average_backward<S>(outputs.token(b, t), weights.token(b, t), Traits::count, dy.token(b, t), dy.features,
                                  doutputs.token(b, t));
      }
    }
    NoState none;
    layer.gate.backward(tape.gate.tape, weights, none, gradient.gate, dx, none);
    return doutputs;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
