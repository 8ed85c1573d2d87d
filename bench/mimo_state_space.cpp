#include <stepscan/layers/lru.hpp>
#include <stepscan/layers/lru_backward.hpp>
#include <stepscan/layers/s5.hpp>
#include <stepscan/layers/s5_backward.hpp>
#include <stepscan/layers/s5_initialize.hpp>

#include "support.hpp"

/// State spaces of many inputs and outputs. Floor: the two products, 4 P H multiply-adds a token; the scan between them
/// takes 4 P.
namespace {

using namespace bench;
using Sequences = Tensor<float, Dynamic, Dynamic, Dynamic>;

double flops_of(Index features, Index states) {
  return 8.0 * static_cast<double>(features * states) + 8.0 * static_cast<double>(states);
}

template <class L>
L make(Index features, Index states) {
  L layer(features, states);
  initialize(layer, 1);
  return layer;
}

template <class L, class Form>
void add_form(const std::string& name, const std::string& form, Index batch, Index time, Index features, Index states,
              int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name_of(name, form, "scan", {batch, time, features, states}, threads), threads, tokens,
      flops_of(features, states) * tokens, [=] {
        const auto plan = prepare(make<L>(features, states));
        Sequences x(batch, time, features), y(batch, time, features);
        fill_uniform(x, 1);
        auto state = plan.initial_state(batch);
        return [=, workspace = Workspace()]() mutable {
          plan.scan(state, x, y, workspace, Form{});
          benchmark::DoNotOptimize(y.data());
        };
      });
}

template <class L>
void add_training(const std::string& name, Index batch, Index time, Index features, Index states, int threads) {
  const double tokens = static_cast<double>(batch * time);
  add(name_of(name, "Chunked", "forward_backward", {batch, time, features, states}, threads), threads, tokens,
      3 * flops_of(features, states) * tokens, [=] {
        const L layer = make<L>(features, states);
        Sequences x(batch, time, features), y(batch, time, features), dx = x, dy = y;
        fill_uniform(x, 1);
        fill_uniform(dy, 1, 2);
        const auto start = layer.initial_state(batch);
        return [=, tape = Tape<L>(), gradient = zeros_like(layer), dend = start, dstart = start]() mutable {
          auto state = start;
          layer.forward(state, x, y, tape);
          layer.backward(tape, dy, dend, gradient, dx, dstart);
          benchmark::DoNotOptimize(dx.data());
        };
      });
}

}  // namespace

int main(int argc, char** argv) {
  using S5Layer = S5<float, Dynamic, Dynamic>;
  using LruLayer = Lru<float, Dynamic, Dynamic>;
  add_matrix_product();
  for (const int threads : {1, 2}) {
    add_form<S5Layer, Recurrent>("s5", "Recurrent", 1, 2048, 256, 128, threads);
    add_form<S5Layer, Chunked<>>("s5", "Chunked", 1, 2048, 256, 128, threads);
    add_form<S5Layer, Parallel<>>("s5", "Parallel", 1, 2048, 256, 128, threads);
    add_form<LruLayer, Chunked<>>("lru", "Chunked", 4, 1024, 128, 256, threads);
    add_training<S5Layer>("s5", 1, 2048, 256, 128, threads);
  }
  add_step("s5", prepare(make<S5Layer>(256, 128)), 1, flops_of(256, 128));
  add_step("lru", prepare(make<LruLayer>(64, 64)), 1, flops_of(64, 64));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
