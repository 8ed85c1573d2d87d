#pragma once

#include <conformance/stack.hpp>

/// min_gru, min_lstm: weights of all gates in one matrix.
namespace conformance {

/// A layer of `gates` gates and Dynamic sizes.
template <class L>
void run_affine_layer(Case& golden, Session& session, Index gates) {
  const Index inputs = golden.config.size("input_size"), hidden = golden.config.size("hidden_size");
  golden.require_shape("param/weight", {gates * hidden, inputs});
  golden.require_shape("param/bias", {gates * hidden});
  Stack<L> stack;
  stack.layers.emplace_back(inputs, hidden);
  run_stack(golden, session, stack);
}

inline bool is_positive(Config& config) { return config.choice("candidate", {"g", "identity"}) == 0; }

}  // namespace conformance
