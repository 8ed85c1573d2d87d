#pragma once

#include <stepscan/layers/chain_training.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The states of the layers, named 0, 1, ..., and room for what one token is between them.
template <Scalar S, class... States>
struct SequentialState {
  std::tuple<States...> layers;
  Scratch<S> between;
  static constexpr auto fields() { return std::tuple{Field{"", &SequentialState::layers}}; }
};

/// Layers one behind the other, each in its own form unless `scan` is given one for all:
///   Sequential<Lstm<float, 8, 16>, Lstm<float, 16, 16>, Linear<float, 16, 4>> model;
/// Parameters and states are named 0, 1, ... as the layers are. A causal stack runs through blocks of tokens, so that
/// its memory does not grow with the sequence.
template <SequenceLayer First, SequenceLayer... Rest>
class Sequential : public Layer<Sequential<First, Rest...>, typename First::scalar_type, First::static_inputs,
                                detail::ChainTraits<First, Rest...>::outputs> {
  using Traits = detail::ChainTraits<First, Rest...>;
  using List = typename Traits::List;
  template <std::size_t I>
  using At = typename Traits::template At<I>;
  static constexpr std::size_t last = Traits::last;
  using S = typename Traits::scalar_type;
  static constexpr Index Inputs = Traits::inputs;
  static constexpr Index Outputs = Traits::outputs;

 public:
  static constexpr const char* name = "Sequential";
  using State = SequentialState<S, typename First::State, typename Rest::State...>;
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

  List layers;

  static constexpr auto fields() requires(Trees<First, Rest...>) {
    return std::tuple{Field{"", &Sequential::layers}};
  }

  Sequential() = default;
  /// Throws ShapeError when a layer's outputs are not as many as the next layer's inputs.
  explicit Sequential(First first, Rest... rest) : layers(std::move(first), std::move(rest)...) {
    check_sizes(std::make_index_sequence<last>{});
  }

  void initialize(Random& random) {
    std::apply([&](auto&... layer) { (layer.initialize(random), ...); }, layers);
  }

  /// The I-th layer.
  template <std::size_t I>
  [[nodiscard]] const At<I>& get() const noexcept {
    return std::get<I>(layers);
  }
  template <std::size_t I>
  [[nodiscard]] At<I>& get() noexcept {
    return std::get<I>(layers);
  }

  [[nodiscard]] Index input_size() const noexcept { return get<0>().input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return get<last>().output_size(); }
  [[nodiscard]] Index output_time(Index time) const noexcept {
    std::apply([&](const auto&... layer) { ((time = layer.output_time(time)), ...); }, layers);
    return time;
  }

  [[nodiscard]] State initial_state(Index batch) const {
    return std::apply(
        [&](const auto&... layer) { return State{{layer.initial_state(batch)...}, chain().step_scratch(batch)}; },
        layers);
  }

  /// A Sequential of the layers' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return std::apply([](const auto&... layer) { return of(layer.template plan<Stored, Math>()...); }, layers);
  }

 private:
  friend Layer<Sequential, S, Inputs, Outputs>;

  template <class... Plans>
  static Sequential<Plans...> of(Plans... plans) {
    return Sequential<Plans...>(std::move(plans)...);
  }

  static std::string layer_name(std::size_t i) { return "layer " + std::to_string(i); }
  template <std::size_t... I>
  void check_sizes(std::index_sequence<I...>) const {
    (detail::check_neighbours(name, layer_name(I), get<I>(), layer_name(I + 1), get<I + 1>()), ...);
  }

  [[nodiscard]] detail::Chain<First, Rest...> chain() const noexcept {
    return std::apply([](const auto&... layer) { return detail::Chain<First, Rest...>(layer...); }, layers);
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    chain().step(state.layers, state.between, x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    chain().scan(form, state.layers, x, y, workspace);
  }
};

template <class... Layers>
Sequential(Layers...) -> Sequential<Layers...>;

template <class... Layers>
struct Training<Sequential<Layers...>> {
  using L = Sequential<Layers...>;
  using S = typename L::scalar_type;
  using Inner = detail::ChainTraining<Layers...>;
  using Tape = typename Inner::Tape;

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state,
                      SequenceView<const S, L::static_inputs> x, SequenceView<S, L::static_outputs> y, Tape& tape) {
    Inner::forward(layer.layers, form, state.layers, x, y, tape);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy,
                       const typename L::State& dstate_end, L& gradient, SequenceView<S, L::static_inputs> dx,
                       typename L::State& dstate_start) {
    Inner::backward(layer.layers, tape, dy, dstate_end.layers, gradient.layers, dx, dstate_start.layers);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
