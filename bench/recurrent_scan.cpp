#include <stepscan/core/denormals.hpp>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>

#include "subject.hpp"

/// Whole sequences of the gated recurrences in each form over time, and their training; LSTM and GRU at the sizes of
/// the tables; a small Elman network by Newton's iteration; and a long silence behind a loud start, with and without
/// subnormal numbers flushed.
///
/// Floors: batch 1 reads all recurrent weights for every token; larger batches run at the rate of a matrix product.
/// Forward and backward together are three times the products of the forward pass.
/// Measured at 128 units, one sequence: scans 56 to 63 %, forward 53 to 57 %, backward 60 to 68 % of the floor, steps
/// of LSTM, GRU and Elman 83 to 86 %.
namespace {

using namespace bench;

/// A recurrence of `gates` products and `activations` exponentials a unit, each product over `recurrent` of its units.
Cost cost(double gates, double activations, Index inputs, Index hidden, Index recurrent) {
  const double units = static_cast<double>(hidden);
  const double first = gates * units * static_cast<double>(inputs),
               second = gates * units * static_cast<double>(recurrent);
  return {.flops = 2 * (first + second),
          .exps = activations * units,
          .weights = 4 * (first + second),
          .recurrent = 4 * second,
          .state = 8 * units};
}

template <class L>
auto gated(const std::string& name, double gates, double activations, Index inputs, Index hidden) {
  return subject({name, {inputs, hidden}, cost(gates, activations, inputs, hidden, hidden)}, fresh<L>(inputs, hidden));
}

template <class L>
void add_tables(const std::string& name, double gates, double activations) {
  for (const auto& [batch, time, width] :
       {std::tuple<Index, Index, Index>{1, 1000, 64}, {1, 1000, 256}, {16, 128, 256}, {32, 128, 512}}) {
    const auto layer = gated<L>(name, gates, activations, width, width);
    for (const int threads : {1, 2}) {
      layer.template scan<Chunked<>>(batch, time, threads);
      layer.training(batch, time, threads);
    }
  }
}

/// An LSTM without biases and input forgets its loud start: h and c sink towards zero and through the subnormals.
void add_silence(const std::string& kind, double level, bool flush) {
  constexpr Index hidden = 32, time = 48000;
  add(name_of("lstm, " + kind, "Recurrent", "scan", {1, time, 1, hidden}, 1), 1, time, 0, [=] {
    Lstm<float, 1, hidden> layer;
    initialize(layer, 1);
    layer.bias_ih.fill(0);
    layer.bias_hh.fill(0);
    Sequences x(1, time, 1), y(1, time, hidden);
    fill_uniform(x, level);
    for (Index t = 0; t < 64; ++t) x[t] = 1;
    return [=, plan = prepare(layer), workspace = Workspace()]() mutable {
      auto state = plan.initial_state(1);
      if (flush) {
        const FlushDenormals guard;
        plan.template scan<Recurrent>(state, x, y, workspace);
      } else {
        plan.template scan<Recurrent>(state, x, y, workspace);
      }
      benchmark::DoNotOptimize(y.data());
    };
  });
}

}  // namespace

void bench::add_benchmarks() {
  using DynamicLstm = Lstm<float, Dynamic, Dynamic>;
  using DynamicGru = Gru<float, Dynamic, Dynamic>;
  using DynamicElman = ElmanRnn<float, Dynamic, Dynamic>;
  using DynamicSlstm = Slstm<float, Dynamic, Dynamic, Dynamic>;
  gated<DynamicLstm>("lstm", 4, 5, 128, 128).all();
  gated<DynamicGru>("gru", 3, 3, 128, 128).all();
  gated<DynamicElman>("elman_rnn", 1, 1, 128, 128).all();
  subject({"slstm", {128, 4, 32}, cost(4, 5, 128, 128, 32)}, fresh<DynamicSlstm>(128, 4, 32)).all();
  for (const Index time : lengths()) gated<DynamicElman>("elman_rnn", 1, 1, 8, 8).forms<true>(1, time);
  if (quick) return;
  add_tables<DynamicLstm>("lstm", 4, 5);
  add_tables<DynamicGru>("gru", 3, 3);
  add_silence("signal", 1, false);
  add_silence("silence", 0, false);
  add_silence("silence flushed", 0, true);
}
