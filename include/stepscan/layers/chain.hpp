#pragma once

#include <stepscan/layers/combinator.hpp>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Two neighbours in a chain: layers and sizes stand in the type's name, where the compiler shows them.
template <class Earlier, class Later, Index EarlierOutputs, Index LaterInputs>
struct ChainNeighbours {
  static_assert(EarlierOutputs == Dynamic || LaterInputs == Dynamic || EarlierOutputs == LaterInputs,
                "stepscan: a layer's outputs are not as many as the next layer's inputs");
  static constexpr bool fit = true;
};

template <class... Layers, std::size_t... I>
constexpr bool neighbours_fit(std::index_sequence<I...>) {
  using List = std::tuple<Layers...>;
  return (ChainNeighbours<std::tuple_element_t<I, List>, std::tuple_element_t<I + 1, List>,
                          std::tuple_element_t<I, List>::static_outputs,
                          std::tuple_element_t<I + 1, List>::static_inputs>::fit &&
          ...);
}

/// Throws ShapeError when a layer's outputs are not as many as the next layer's inputs; `owner` holds both under the
/// given names.
template <class Earlier, class Later>
void check_neighbours(const std::string& owner, const std::string& earlier_name, const Earlier& earlier,
                      const std::string& later_name, const Later& later) {
  if (earlier.output_size() != later.input_size()) {
    fail<ShapeError>(owner + ": " + earlier_name + ", " + earlier.description() + ", has " +
                     std::to_string(earlier.output_size()) + " outputs, but " + later_name + ", " +
                     later.description() + ", expects " + std::to_string(later.input_size()) + " inputs");
  }
}

/// What layers one behind the other are together.
template <SequenceLayer First, SequenceLayer... Rest>
struct ChainTraits {
  using List = std::tuple<First, Rest...>;
  template <std::size_t I>
  using At = std::tuple_element_t<I, List>;
  static constexpr std::size_t last = sizeof...(Rest);
  using scalar_type = typename First::scalar_type;
  static_assert((std::same_as<scalar_type, typename Rest::scalar_type> && ...),
                "stepscan: layers one behind the other have one scalar type");
  static_assert(neighbours_fit<First, Rest...>(std::make_index_sequence<last>{}));

  static constexpr Index inputs = First::static_inputs;
  static constexpr Index outputs = At<last>::static_outputs;
  using Forms = CommonForms<First, Rest...>;
  static constexpr bool causal = (First::causal && ... && Rest::causal);
  static constexpr bool any_form = (First::any_form && ... && Rest::any_form);
  static constexpr bool keeps_time = (First::keeps_time && ... && Rest::keeps_time);
  static constexpr bool time_invariant = (First::time_invariant && ... && Rest::time_invariant);
  static constexpr Index latency = (First::latency + ... + Rest::latency);
  static constexpr Index receptive_field = chained_fields<First, Rest...>();
  template <class Form>
  static constexpr Index block_tokens = block_of_layers<Form, First, Rest...>;
};

/// Layers one behind the other, wherever they and their states stand: how Sequential and Projected run theirs. A causal
/// chain runs through blocks of tokens, so that its memory does not grow with the sequence. States are a tuple, of
/// values or references, one of each layer.
template <SequenceLayer... Layers>
class Chain {
  using Traits = ChainTraits<Layers...>;
  using S = typename Traits::scalar_type;
  template <std::size_t I>
  using At = typename Traits::template At<I>;
  static constexpr std::size_t last = Traits::last;
  static constexpr auto indices = std::make_index_sequence<last + 1>{};
  using StepInput = MatrixView<const S, Dynamic, Traits::inputs>;
  using StepOutput = MatrixView<S, Dynamic, Traits::outputs>;
  using Input = SequenceView<const S, Traits::inputs>;
  using Output = SequenceView<S, Traits::outputs>;

 public:
  explicit Chain(const Layers&... layers) noexcept : layers_(layers...) {}

  /// The most numbers that lie between two layers.
  [[nodiscard]] Index room_between(Index batch, Index time) const noexcept {
    return room_between(batch, time, indices);
  }

  /// What a step needs between the layers.
  [[nodiscard]] Scratch<S> step_scratch(Index batch) const { return Scratch<S>(2 * room_between(batch, 1)); }

  template <class States>
  void step(States&& states, Scratch<S>& between, const StepInput& x, const StepOutput& y) const noexcept {
    S* halves[] = {between.data(), between.data() + between.size() / 2};
    step_layers(states, x, y, halves, indices);
  }

  template <class Form, class States>
  void scan(const Form& form, States&& states, const Input& x, const Output& y, Workspace& workspace) const {
    clear_report(form);
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(Traits::template block_tokens<Form>, x.time);
    const Index room = room_between(x.batch, tokens);
    S* halves[] = {workspace.template take<S>(room), workspace.template take<S>(room)};
    Index* lengths =
        Traits::keeps_time ? nullptr : workspace.template take<Index>(x.batch * static_cast<Index>(last + 1));
    if (tokens == x.time) {
      scan_layers(form, states, x, y, halves, lengths, workspace, indices);
      return;
    }
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      scan_layers(form, states, x.slice(start, count), y.slice(start, count), halves, lengths, workspace, indices);
    }
  }

 private:
  template <std::size_t I>
  [[nodiscard]] const At<I>& get() const noexcept {
    return std::get<I>(layers_);
  }

  template <std::size_t... I>
  [[nodiscard]] Index room_between(Index batch, Index time, std::index_sequence<I...>) const noexcept {
    Index most = 0;
    ((time = get<I>().output_time(time),
      most = I < last ? std::max(most, batch * time * get<I>().output_size()) : most),
     ...);
    return most;
  }

  template <class States, std::size_t... I>
  void step_layers(States& states, const StepInput& x, const StepOutput& y, S* const* halves,
                   std::index_sequence<I...>) const noexcept {
    (step_layer<I>(std::get<I>(states), x, y, halves), ...);
  }
  template <std::size_t I, class State>
  void step_layer(State& state, const StepInput& x, const StepOutput& y, S* const* halves) const noexcept {
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
    get<I>().step(state, in(), out());
  }

  template <class Form, class States, std::size_t... I>
  void scan_layers(const Form& form, States& states, const Input& x, const Output& y, S* const* halves, Index* lengths,
                   Workspace& workspace, std::index_sequence<I...>) const {
    BetweenLayers between(x);
    (scan_layer<I>(form, std::get<I>(states), x, y, between, halves, lengths, workspace), ...);
  }
  template <std::size_t I, class Form, class State>
  void scan_layer(const Form& form, State& state, const Input& x, const Output& y, BetweenLayers& between,
                  S* const* halves, Index* lengths, Workspace& workspace) const {
    const At<I>& layer = get<I>();
    const auto in = [&] {
      if constexpr (I == 0) {
        return x;
      } else {
        return between.template view<At<I>::static_inputs, const S>(halves[(I - 1) % 2], layer.input_size());
      }
    }();
    between.pass(layer, I, lengths);
    if constexpr (I == last) {
      scan_part(layer, form, state, in, y, workspace);
    } else {
      const auto out = between.template view<At<I>::static_outputs>(halves[I % 2], layer.output_size());
      scan_part(layer, form, state, in, out, workspace);
    }
  }

  std::tuple<const Layers&...> layers_;
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
