#pragma once

#include <stepscan/models/combinator.hpp>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA {

/// The states of the layers, named 0, 1, ..., and room for what one token is between them.
template <Scalar S, class... States>
struct SequentialState {
  std::tuple<States...> layers;
  Scratch<S> between;
  static constexpr auto fields() { return std::tuple{Field{"", &SequentialState::layers}}; }
};

namespace detail {

/// Two neighbours of a Sequential: the sizes stand in the type's name, where the compiler shows them.
template <class Earlier, class Later, Index EarlierOutputs, Index LaterInputs>
struct SequentialNeighbours {
  static_assert(EarlierOutputs == Dynamic || LaterInputs == Dynamic || EarlierOutputs == LaterInputs,
                "stepscan: in this Sequential a layer's outputs are not as many as the next layer's inputs");
  static constexpr bool fit = true;
};

template <class... Layers, std::size_t... I>
constexpr bool neighbours_fit(std::index_sequence<I...>) {
  using List = std::tuple<Layers...>;
  return (SequentialNeighbours<std::tuple_element_t<I, List>, std::tuple_element_t<I + 1, List>,
                               std::tuple_element_t<I, List>::static_outputs,
                               std::tuple_element_t<I + 1, List>::static_inputs>::fit &&
          ...);
}

}  // namespace detail

/// Layers one behind the other, each in its own form unless `scan` is given one for all:
///   Sequential<Lstm<float, 8, 16>, Lstm<float, 16, 16>, Linear<float, 16, 4>> model;
/// Parameters and states are named 0, 1, ... as the layers are. A causal stack runs through blocks of tokens, so that
/// its memory does not grow with the sequence.
template <SequenceLayer First, SequenceLayer... Rest>
class Sequential : public Layer<Sequential<First, Rest...>, typename First::scalar_type, First::static_inputs,
                                std::tuple_element_t<sizeof...(Rest), std::tuple<First, Rest...>>::static_outputs> {
  using List = std::tuple<First, Rest...>;
  template <std::size_t I>
  using At = std::tuple_element_t<I, List>;
  static constexpr std::size_t last = sizeof...(Rest);
  static constexpr auto indices = std::make_index_sequence<last + 1>{};
  using S = typename First::scalar_type;
  static constexpr Index Inputs = First::static_inputs;
  static constexpr Index Outputs = At<last>::static_outputs;
  static_assert((std::same_as<S, typename Rest::scalar_type> && ...),
                "stepscan: the layers of a Sequential have one scalar type");
  static_assert(detail::neighbours_fit<First, Rest...>(std::make_index_sequence<last>{}));

 public:
  static constexpr const char* name = "Sequential";
  using State = SequentialState<S, typename First::State, typename Rest::State...>;
  using Forms = detail::CommonForms<First, Rest...>;
  using DefaultForm = OwnForm;
  static constexpr bool causal = (First::causal && ... && Rest::causal);
  static constexpr bool any_form = (First::any_form && ... && Rest::any_form);
  static constexpr bool keeps_time = (First::keeps_time && ... && Rest::keeps_time);
  template <class Form>
  static constexpr Index block_tokens = detail::block_of_layers<Form, First, Rest...>;

  List layers;

  static constexpr auto fields() requires(Tree<First>&&...&& Tree<Rest>) {
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
        [&](const auto&... layer) {
          return State{{layer.initial_state(batch)...}, Scratch<S>(2 * room_between(batch, 1, indices))};
        },
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

  template <std::size_t... I>
  void check_sizes(std::index_sequence<I...>) const {
    (check_neighbours(get<I>(), get<I + 1>(), I), ...);
  }
  template <class Earlier, class Later>
  static void check_neighbours(const Earlier& earlier, const Later& later, std::size_t i) {
    if (earlier.output_size() != later.input_size()) {
      fail<ShapeError>("Sequential: layer " + std::to_string(i) + ", " + earlier.description() + ", has " +
                       std::to_string(earlier.output_size()) + " outputs, but layer " + std::to_string(i + 1) + ", " +
                       later.description() + ", expects " + std::to_string(later.input_size()) + " inputs");
    }
  }

  /// The most numbers that lie between two layers.
  template <std::size_t... I>
  [[nodiscard]] Index room_between(Index batch, Index time, std::index_sequence<I...>) const noexcept {
    Index most = 0;
    ((time = get<I>().output_time(time),
      most = I < last ? std::max(most, batch * time * get<I>().output_size()) : most),
     ...);
    return most;
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    run_step(state, x, y, indices);
  }
  template <std::size_t... I>
  void run_step(State& state, const MatrixView<const S, Dynamic, Inputs>& x, const MatrixView<S, Dynamic, Outputs>& y,
                std::index_sequence<I...>) const noexcept {
    S* halves[] = {state.between.data(), state.between.data() + state.between.size() / 2};
    (step_layer<I>(state, x, y, halves), ...);
  }
  template <std::size_t I>
  void step_layer(State& state, const MatrixView<const S, Dynamic, Inputs>& x, const MatrixView<S, Dynamic, Outputs>& y,
                  S* const* halves) const noexcept {
    const auto in = [&] {
      if constexpr (I == 0) {
        return x;
      } else {
        return MatrixView<const S, Dynamic, At<I>::static_inputs>(halves[(I - 1) % 2], Index{x.rows},
                                                                  get<I>().input_size());
      }
    };
    const auto out = [&] {
      if constexpr (I == last) {
        return y;
      } else {
        return MatrixView<S, Dynamic, At<I>::static_outputs>(halves[I % 2], Index{x.rows}, get<I>().output_size());
      }
    };
    get<I>().step(std::get<I>(state.layers), in(), out());
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    detail::clear_report(form);
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(block_tokens<Form>, x.time);
    const Index room = room_between(x.batch, tokens, indices);
    S* halves[] = {workspace.template take<S>(room), workspace.template take<S>(room)};
    Index* lengths = keeps_time ? nullptr : workspace.template take<Index>(x.batch * static_cast<Index>(last + 1));
    if (tokens == x.time) {
      scan_layers(form, state, x, y, halves, lengths, workspace, indices);
      return;
    }
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      scan_layers(form, state, x.slice(start, count), y.slice(start, count), halves, lengths, workspace, indices);
    }
  }
  template <class Form, std::size_t... I>
  void scan_layers(const Form& form, State& state, const SequenceView<const S, Inputs>& x,
                   const SequenceView<S, Outputs>& y, S* const* halves, Index* lengths, Workspace& workspace,
                   std::index_sequence<I...>) const {
    detail::BetweenLayers between(x);
    (scan_layer<I>(form, state, x, y, between, halves, lengths, workspace), ...);
  }
  template <std::size_t I, class Form>
  void scan_layer(const Form& form, State& state, const SequenceView<const S, Inputs>& x,
                  const SequenceView<S, Outputs>& y, detail::BetweenLayers& between, S* const* halves, Index* lengths,
                  Workspace& workspace) const {
    const At<I>& layer = get<I>();
    auto& own = std::get<I>(state.layers);
    const auto in = [&] {
      if constexpr (I == 0) {
        return x;
      } else {
        return between.template view<At<I>::static_inputs, const S>(halves[(I - 1) % 2], layer.input_size());
      }
    }();
    between.pass(layer, I, lengths);
    if constexpr (I == last) {
      detail::scan_part(layer, form, own, in, y, workspace);
    } else {
      const auto out = between.template view<At<I>::static_outputs>(halves[I % 2], layer.output_size());
      detail::scan_part(layer, form, own, in, out, workspace);
    }
  }
};

template <class... Layers>
Sequential(Layers...) -> Sequential<Layers...>;

/// Keeps the layers' tapes and what lies between the layers.
template <class... Layers>
struct Training<Sequential<Layers...>> {
  using L = Sequential<Layers...>;
  using S = typename L::scalar_type;
  using X = SequenceView<const S, L::static_inputs>;
  using Y = SequenceView<S, L::static_outputs>;
  template <std::size_t I>
  using At = std::tuple_element_t<I, std::tuple<Layers...>>;
  static constexpr std::size_t last = sizeof...(Layers) - 1;

  struct Tape {
    std::tuple<typename Training<Layers>::Tape...> layers;
    std::array<Tensor<S, Dynamic>, last + 1> outputs;  ///< of every layer but the last
    std::array<Tensor<S, Dynamic>, 2> cotangents;      ///< of what lies before and behind a layer
    Tensor<Index, Dynamic> lengths;                    ///< [layers, batch], behind layers that change the time
    std::array<Index, last + 1> times{};               ///< behind every layer
    Index batch = 0;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state, X x, Y y, Tape& tape) {
    tape.batch = x.batch;
    detail::BetweenLayers between(x);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (forward_layer<I>(layer, form, state, x, y, between, tape), ...);
    }
    (std::make_index_sequence<last + 1>{});
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy,
                       const typename L::State& dstate_end, L& gradient, SequenceView<S, L::static_inputs> dx,
                       typename L::State& dstate_start) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (backward_layer<last - I>(layer, tape, dy, dstate_end, gradient, dx, dstate_start), ...);
    }
    (std::make_index_sequence<last + 1>{});
  }

 private:
  template <class T>
  static T* resized(Tensor<T, Dynamic>& tensor, Index size) {
    if (tensor.size() < size) tensor = Tensor<T, Dynamic>(size);
    return tensor.data();
  }

  template <std::size_t I, class Form>
  static void forward_layer(const L& model, const Form& form, typename L::State& state, const X& x, const Y& y,
                            detail::BetweenLayers& between, Tape& tape) {
    const auto& layer = model.template get<I>();
    const auto in = [&] {
      if constexpr (I == 0) {
        return x;
      } else {
        return between.template view<At<I>::static_inputs, const S>(tape.outputs[I - 1].data(), layer.input_size());
      }
    }();
    between.pass(layer, I, resized(tape.lengths, L::keeps_time ? 0 : x.batch * static_cast<Index>(last + 1)));
    tape.times[I] = between.time;
    const auto out = [&] {
      if constexpr (I == last) {
        return y;
      } else {
        const Index size = x.batch * between.time * layer.output_size();
        return between.template view<At<I>::static_outputs>(resized(tape.outputs[I], size), layer.output_size());
      }
    }();
    layer.forward(std::get<I>(state.layers), in, out, std::get<I>(tape.layers), form);
  }

  template <std::size_t I>
  static void backward_layer(const L& model, Tape& tape, const SequenceView<const S, L::static_outputs>& dy,
                             const typename L::State& dstate_end, L& gradient,
                             const SequenceView<S, L::static_inputs>& dx, typename L::State& dstate_start) {
    const auto& layer = model.template get<I>();
    const auto dout = [&] {
      if constexpr (I == last) {
        return dy;
      } else {
        return SequenceView<const S, At<I>::static_outputs>(tape.cotangents[(I + 1) % 2].data(), tape.batch,
                                                            tape.times[I], layer.output_size());
      }
    }();
    const auto din = [&] {
      if constexpr (I == 0) {
        return dx;
      } else {
        const Index time = tape.times[I - 1];
        S* memory = resized(tape.cotangents[I % 2], tape.batch * time * layer.input_size());
        return SequenceView<S, At<I>::static_inputs>(memory, tape.batch, time, layer.input_size());
      }
    }();
    layer.backward(std::get<I>(tape.layers), dout, std::get<I>(dstate_end.layers), gradient.template get<I>(), din,
                   std::get<I>(dstate_start.layers));
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
