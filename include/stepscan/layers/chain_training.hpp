#pragma once

#include <array>
#include <stepscan/layers/chain.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Training of layers one behind the other. Layers, states and gradients are tuples, of values or references, one of
/// each layer. The tape keeps the layers' tapes and what lies between the layers.
template <SequenceLayer... Layers>
struct ChainTraining {
  using Traits = ChainTraits<Layers...>;
  using S = typename Traits::scalar_type;
  using Input = SequenceView<const S, Traits::inputs>;
  using Output = SequenceView<S, Traits::outputs>;
  template <std::size_t I>
  using At = typename Traits::template At<I>;
  static constexpr std::size_t last = Traits::last;
  static constexpr auto indices = std::make_index_sequence<last + 1>{};

  struct Tape {
    std::tuple<typename Training<Layers>::Tape...> layers;
    std::array<Tensor<S, Dynamic>, last + 1> outputs;  ///< of every layer but the last
    std::array<Tensor<S, Dynamic>, 2> cotangents;      ///< of what lies before and behind a layer
    Tensor<Index, Dynamic> lengths;                    ///< [layers, batch], behind layers that change the time
    std::array<Index, last + 1> times{};               ///< behind every layer
    Index batch = 0;
  };

  template <class List, class Form, class States>
  static void forward(const List& layers, const Form& form, States&& states, const Input& x, const Output& y,
                      Tape& tape) {
    tape.batch = x.batch;
    BetweenLayers between(x);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (forward_layer<I>(std::get<I>(layers), form, std::get<I>(states), x, y, between, tape), ...);
    }
    (indices);
  }

  template <class List, class Ends, class Gradients, class Starts>
  static void backward(const List& layers, Tape& tape, const SequenceView<const S, Traits::outputs>& dy,
                       const Ends& dstate_end, Gradients&& gradient, const SequenceView<S, Traits::inputs>& dx,
                       Starts&& dstate_start) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (backward_layer<last - I>(std::get<last - I>(layers), tape, dy, std::get<last - I>(dstate_end),
                                std::get<last - I>(gradient), dx, std::get<last - I>(dstate_start)),
       ...);
    }
    (indices);
  }

 private:
  template <std::size_t I, class Form, class State>
  static void forward_layer(const At<I>& layer, const Form& form, State& state, const Input& x, const Output& y,
                            BetweenLayers& between, Tape& tape) {
    const auto in = [&] {
      if constexpr (I == 0) {
        return x;
      } else {
        return between.template view<At<I>::static_inputs, const S>(tape.outputs[I - 1].data(), layer.input_size());
      }
    }();
    between.pass(layer, I, room_in(tape.lengths, Traits::keeps_time ? 0 : x.batch * static_cast<Index>(last + 1)));
    tape.times[I] = between.time;
    const auto out = [&] {
      if constexpr (I == last) {
        return y;
      } else {
        const Index size = x.batch * between.time * layer.output_size();
        return between.template view<At<I>::static_outputs>(room_in(tape.outputs[I], size), layer.output_size());
      }
    }();
    layer.forward(state, in, out, std::get<I>(tape.layers), form);
  }

  template <std::size_t I, class State>
  static void backward_layer(const At<I>& layer, Tape& tape, const SequenceView<const S, Traits::outputs>& dy,
                             const State& dstate_end, At<I>& gradient, const SequenceView<S, Traits::inputs>& dx,
                             State& dstate_start) {
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
        S* memory = room_in(tape.cotangents[I % 2], tape.batch * time * layer.input_size());
        return SequenceView<S, At<I>::static_inputs>(memory, tape.batch, time, layer.input_size());
      }
    }();
    layer.backward(std::get<I>(tape.layers), dout, dstate_end, gradient, din, dstate_start);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
