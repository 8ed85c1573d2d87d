#pragma once

#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/ops/attention_weights.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The weights by which head h of batch member b takes values, for a look at them (ops/attention_weights.hpp): of a
/// layer that attends to a cache, in a state, at inputs x [batch, time, features]. Columns of weights [time, kept +
/// time] are the tokens that the state keeps, in the order of time, and then those of x; hidden ones have weight 0. The
/// state stays as it is.
template <class L>
requires(L::attends_to_cache) void attention_weights(const L& layer, const typename L::State& state,
                                                     SequenceView<const typename L::scalar_type, L::static_inputs> x,
                                                     Index b, Index h, MatrixView<typename L::scalar_type> weights,
                                                     Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const auto in = layer.gathered(state, x, workspace);
  attention_weights(layer.fold(), layer.pattern(state), in, b, h, weights, workspace);
}

/// The same of a MultiHeadAttention or its plan.
template <class Self, SequenceLayer Qkv, SequenceLayer... Between, SequenceLayer Attention, SequenceLayer Out>
void attention_weights(const MultiHeadLayer<Self, Qkv, std::tuple<Between...>, Attention, Out>& layer,
                       const typename Self::State& state,
                       SequenceView<const typename Self::scalar_type, Self::static_inputs> x, Index b, Index h,
                       MatrixView<typename Self::scalar_type> weights, Workspace& workspace) {
  using S = typename Self::scalar_type;
  const Workspace::Scope scope(workspace);
  const Extent<Dynamic> features(layer.qkv_proj.output_size());
  SequenceView<S> qkv = workspace.template sequence<S>(x, features);
  NoState none;
  layer.qkv_proj.scan(none, x, qkv, workspace);
  const auto run = [&](const auto& part, auto own) {
    const SequenceView<S> next = workspace.template sequence<S>(x, features);
    part.scan(own, qkv, next, workspace);
    qkv = next;
  };
  const auto run_all = [&]<std::size_t... I>(std::index_sequence<I...>) {
    (run(std::get<I>(layer.between), std::get<I>(state.between)), ...);
  };
  run_all(std::index_sequence_for<Between...>{});
  attention_weights(layer.attention, state.cache, qkv, b, h, weights, workspace);
}

}  // namespace stepscan::inline STEPSCAN_ISA
