#include <stepscan/core/denormals.hpp>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>

#include "support.hpp"

/// Whole sequences of LSTM and GRU, forward and forward with backward, on one thread and two; and a long silence
/// behind a loud start, with and without subnormal numbers flushed.
///
/// Floors: batch 1 reads all recurrent weights for every token; larger batches run at the rate of a matrix product.
/// Forward and backward together are three times the products of the forward pass.
namespace {

using namespace bench;

template <class L>
void add_layer(const std::string& name, double gates, Index batch, Index time, Index width) {
  L layer(width, width);
  initialize(layer, 1);
  const double flops = 4 * gates * static_cast<double>(width * width);
  for (const int threads : {1, 2}) {
    add_scan(name, "Chunked", prepare(layer), batch, time, flops, threads);
    const double tokens = static_cast<double>(batch * time);
    add(name_of(name, "Chunked", "forward_backward", {batch, time, width, width}, threads), threads, tokens,
        3 * flops * tokens, [=] {
          Tensor<float, Dynamic, Dynamic, Dynamic> x(batch, time, width), y(batch, time, width), dx = x, dy = y;
          fill_uniform(x, 1);
          fill_uniform(dy, 1, 2);
          auto start = layer.initial_state(batch);
          return [=, tape = Tape<L>(), gradient = zeros_like(layer), dstart = start, dend = start]() mutable {
            auto state = start;
            layer.forward(state, x, y, tape);
            layer.backward(tape, dy, dend, gradient, dx, dstart);
            benchmark::DoNotOptimize(dx.data());
          };
        });
  }
}

template <class L>
void add_sizes(const std::string& name, double gates) {
  add_layer<L>(name, gates, 1, 1000, 64);
  add_layer<L>(name, gates, 1, 1000, 256);
  add_layer<L>(name, gates, 16, 128, 256);
  add_layer<L>(name, gates, 32, 128, 512);
}

/// An LSTM without biases and input forgets its loud start: h and c sink towards zero and through the subnormals.
void add_silence(const std::string& kind, double level, bool flush) {
  constexpr Index hidden = 32, time = 48000;
  add("lstm/Recurrent/" + kind + "/1/48000/1/32/threads:1", 1, time, 0, [=] {
    Lstm<float, 1, hidden> layer;
    initialize(layer, 1);
    layer.bias_ih.fill(0);
    layer.bias_hh.fill(0);
    Tensor<float, Dynamic, Dynamic, Dynamic> x(1, time, 1), y(1, time, hidden);
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

int main(int argc, char** argv) {
  add_matrix_product();
  add_sizes<Lstm<float, Dynamic, Dynamic>>("lstm", 4);
  add_sizes<Gru<float, Dynamic, Dynamic>>("gru", 3);
  add_silence("signal", 1, false);
  add_silence("silence", 0, false);
  add_silence("silence_flushed", 0, true);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
