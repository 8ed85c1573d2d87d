#pragma once

#include <stepscan/layers/attention_layer_backward.hpp>
#include <stepscan/layers/chain_training.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/qkv_projection_backward.hpp>
#include <stepscan/layers/query_key_norm_backward.hpp>
#include <stepscan/layers/rotary_embedding_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class List>
struct TrainingOfChain;
template <class... Layers>
struct TrainingOfChain<std::tuple<Layers...>> {
  using type = ChainTraining<Layers...>;
};

}  // namespace detail

/// Keeps the parts' tapes and what lies between the parts.
template <Scalar S, Index Model, Index Heads, Index KvHeads, Index HeadDim, MultiHeadOptions Options, class Default,
          class Stored>
struct Training<MultiHeadAttention<S, Model, Heads, KvHeads, HeadDim, Options, Default, Stored>> {
  using L = MultiHeadAttention<S, Model, Heads, KvHeads, HeadDim, Options, Default, Stored>;
  using State = typename L::State;
  using Inner = typename detail::TrainingOfChain<typename L::Parts>::type;
  using Tape = typename Inner::Tape;

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Model> x,
                      SequenceView<S, Model> y, Tape& tape) {
    NoState none;
    Inner::forward(layer.chained(), form, L::chained_states(none, state), x, y, tape);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Model> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Model> dx, State& dstate_start) {
    NoState none;
    Inner::backward(layer.chained(), tape, dy, L::chained_states(none, dstate_end), gradient.chained(), dx,
                    L::chained_states(none, dstate_start));
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
