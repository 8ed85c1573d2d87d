#pragma once

#include <conformance/stack.hpp>

/// multihead_lstm, multihead_gru, multihead_elman, slstm: with input weights, or on pre-activations.
namespace conformance {

/// How many blocks each parameter has.
struct Gates {
  Index input = 0;
  Index recurrent = 0;
  Index bias = 0;
};

template <class L>
void run_one(Case& golden, Session& session, L layer) {
  Stack<L> stack;
  stack.layers.push_back(std::move(layer));
  run_stack(golden, session, stack);
}

/// Projected has input weights, OnGates takes pre-activations; both have Dynamic sizes.
template <class Projected, class OnGates>
void run_heads(Case& golden, Session& session, const Gates& gates) {
  Config& config = golden.config;
  const Index heads = config.size("num_heads"), dim = config.size("head_dim");
  golden.require_shape("param/recurrent", {gates.recurrent, heads, dim, dim});
  golden.require_shape("param/bias", {gates.bias, heads, dim});
  if (config.choice("input_projection", {"dense", "none"}) == 0) {
    const Index inputs = config.size("input_size");
    golden.require_shape("param/weight_x", {gates.input, heads, dim, inputs});
    run_one(golden, session, Projected(inputs, heads, dim));
  } else {
    run_one(golden, session, OnGates(heads, dim));
  }
}

}  // namespace conformance
