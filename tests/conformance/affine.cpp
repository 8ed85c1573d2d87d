#include <conformance/stack.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/layers/min_lstm.hpp>

/// min_gru, min_lstm: weights of all gates in one matrix.
namespace conformance {

namespace {

/// A layer of `gates` gates and Dynamic sizes.
template <class L>
void run_layer(Case& golden, Session& session, Index gates) {
  const Index inputs = golden.config.size("input_size"), hidden = golden.config.size("hidden_size");
  golden.require_shape("param/weight", {gates * hidden, inputs});
  golden.require_shape("param/bias", {gates * hidden});
  Stack<L> stack;
  stack.layers.emplace_back(inputs, hidden);
  run_stack(golden, session, stack);
}

bool is_positive(Config& config) { return config.choice("candidate", {"g", "identity"}) == 0; }

template <Scalar S>
void run_min_gru(Case& golden, Session& session) {
  if (is_positive(golden.config)) {
    run_layer<stepscan::MinGru<S, Dynamic, Dynamic, stepscan::PositiveCandidate>>(golden, session, 2);
  } else {
    run_layer<stepscan::MinGru<S, Dynamic, Dynamic, stepscan::IdentityCandidate>>(golden, session, 2);
  }
}

template <Scalar S, bool Normalize>
void run_min_lstm_of(Case& golden, Session& session) {
  if (is_positive(golden.config)) {
    run_layer<stepscan::MinLstm<S, Dynamic, Dynamic, stepscan::PositiveCandidate, Normalize>>(golden, session, 3);
  } else {
    run_layer<stepscan::MinLstm<S, Dynamic, Dynamic, stepscan::IdentityCandidate, Normalize>>(golden, session, 3);
  }
}

template <Scalar S>
void run_min_lstm(Case& golden, Session& session) {
  golden.config.flag("normalize_gates") ? run_min_lstm_of<S, true>(golden, session) : run_min_lstm_of<S, false>(golden, session);
}

}  // namespace

std::vector<Family> affine_families() {
  return {{"min_gru", run_min_gru<float>, run_min_gru<double>}, {"min_lstm", run_min_lstm<float>, run_min_lstm<double>}};
}

}  // namespace conformance
