#include <conformance/stack.hpp>
#include <stepscan/layers/multihead_elman.hpp>
#include <stepscan/layers/multihead_gru.hpp>
#include <stepscan/layers/multihead_lstm.hpp>
#include <stepscan/layers/slstm.hpp>

/// multihead_lstm, multihead_gru, multihead_elman, slstm: with input weights, or on pre-activations.
namespace conformance {

namespace {

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

template <Scalar S>
void run_lstm(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadLstm<S, Dynamic, Dynamic, Dynamic>, stepscan::MultiheadLstmOnGates<S, Dynamic, Dynamic>>(
      golden, session, {4, 4, 4});
}

template <Scalar S>
void run_gru(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadGru<S, Dynamic, Dynamic, Dynamic>, stepscan::MultiheadGruOnGates<S, Dynamic, Dynamic>>(
      golden, session, {3, 3, 4});
}

template <Scalar S>
void run_elman(Case& golden, Session& session) {
  run_heads<stepscan::MultiheadElman<S, Dynamic, Dynamic, Dynamic>, stepscan::MultiheadElmanOnGates<S, Dynamic, Dynamic>>(
      golden, session, {1, 1, 1});
}

template <Scalar S, stepscan::NormalizerFloor Floor>
void run_slstm_of(Case& golden, Session& session) {
  run_heads<stepscan::Slstm<S, Dynamic, Dynamic, Dynamic, Floor>, stepscan::SlstmOnGates<S, Dynamic, Dynamic, Floor>>(
      golden, session, {4, 4, 4});
}

template <Scalar S>
void run_slstm(Case& golden, Session& session) {
  switch (golden.config.size("normalizer_floor", 0)) {
    case 0: return run_slstm_of<S, stepscan::NormalizerFloor::zero>(golden, session);
    case 1: return run_slstm_of<S, stepscan::NormalizerFloor::one>(golden, session);
    default: stepscan::fail<FileError>("config: \"normalizer_floor\": expected 0 or 1");
  }
}

}  // namespace

std::vector<Family> multihead_families() {
  return {{"multihead_lstm", run_lstm<float>, run_lstm<double>},
          {"multihead_gru", run_gru<float>, run_gru<double>},
          {"multihead_elman", run_elman<float>, run_elman<double>},
          {"slstm", run_slstm<float>, run_slstm<double>}};
}

}  // namespace conformance
