#include <stepscan/layers/aaren.hpp>
#include <stepscan/layers/attention_layer_backward.hpp>
#include <stepscan/layers/softmax_attention.hpp>
#include <stepscan/layers/softmax_scan.hpp>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/key_lists.hpp>

#include "support.hpp"

/// Softmax attention: causal over whole sequences, forward and backward, one token against a long cache, patterns at
/// T = 8,192, and the prefix scan of a fixed query at growing lengths.
///
/// Floor: 2 (key_dim + value_dim) floating-point operations per head and pair that is seen, at the speed of the
/// product.
namespace {

using namespace bench;

constexpr Index heads = 8, dim = 64;
constexpr AttentionSizes sizes{heads, heads, dim, dim};

using Attention = SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic>;
using Tokens = Tensor<float, Dynamic, Dynamic, Dynamic>;

/// Operations of a share of all pairs.
double flops_of(Index time, double share) {
  return 4.0 * static_cast<double>(heads * dim) * static_cast<double>(time) * static_cast<double>(time) * share;
}

void add_causal(Index time, int threads) {
  add(name_of("softmax_attention", "Parallel", "scan", {1, time, heads, dim}, threads), threads,
      static_cast<double>(time), flops_of(time, 0.5), [=] {
        const Attention layer(sizes, time);
        Tokens x(1, time, layer.input_size()), y(1, time, layer.output_size());
        fill_uniform(x, 1);
        const auto start = layer.initial_state(1);
        return [=, state = start, workspace = Workspace()]() mutable {
          state.length.fill(0);
          layer.scan(state, x, y, workspace, Parallel<>{});
          benchmark::DoNotOptimize(y.data());
        };
      });
}

void add_training(Index time) {
  add(name_of("softmax_attention", "Chunked", "forward+backward", {1, time, heads, dim}, 1), 1,
      static_cast<double>(time), 3.5 * flops_of(time, 0.5), [=] {
        const Attention layer(sizes, time);
        Tokens x(1, time, layer.input_size()), y(1, time, layer.output_size()), dx(x.shape()), dy(y.shape());
        fill_uniform(x, 1);
        fill_uniform(dy, 1);
        const auto start = layer.initial_state(1);
        return [=, state = start, dend = start, dstart = start, tape = Tape<Attention>(), gradient = layer]() mutable {
          state.length.fill(0);
          layer.forward(state, x, y, tape);
          layer.backward(tape, SequenceView<const float>(std::as_const(dy)), dend, gradient, dx, dstart);
          benchmark::DoNotOptimize(dx.data());
        };
      });
}

/// One token, the cache full.
void add_decode(Index cached) {
  add(name_of("softmax_attention", "Recurrent", "step", {1, cached, heads, dim}, 1), 1, 1,
      4.0 * static_cast<double>(heads * dim * cached), [=] {
        const Attention layer(sizes, cached);
        Tensor<float, Dynamic, Dynamic> x(1, layer.input_size()), y(1, layer.output_size());
        fill_uniform(x, 1);
        auto state = layer.initial_state(1);
        fill_uniform(state.keys, 1);
        fill_uniform(state.values, 1);
        state.length.fill(cached);
        return [=]() mutable {
          layer.step(state, MatrixView<const float>(x), MatrixView<float>(y));
          benchmark::DoNotOptimize(y.data());
        };
      });
}

template <class Pattern>
void add_pattern(const std::string& name, const Pattern& pattern, Index time) {
  add(name_of("pattern_attention", name, "scan", {1, time, heads, dim}, 1), 1, static_cast<double>(time),
      flops_of(time, 0.5), [=] {
        Tokens q(1, time, heads * dim), y(q.shape());
        fill_uniform(q, 1);
        return [=, workspace = Workspace()]() mutable {
          const AttentionInputs<float> in{sizes, 0.125F, std::as_const(q), std::as_const(q), std::as_const(q)};
          attention_scan<SoftmaxWeights<float>, Pattern, float>({}, pattern, in, y, {}, workspace);
          benchmark::DoNotOptimize(y.data());
        };
      });
}

template <class L>
void add_prefix(const std::string& name, const L& layer, Index time, double flops) {
  add_scan(name, "Chunked", layer, 1, time, flops, 1);
}

void add_all() {
  using namespace patterns;
  add_matrix_product();
  for (const Index time : {1024, 4096, 8192}) {
    for (const int threads : {1, 2}) add_causal(time, threads);
  }
  for (const Index time : {1024, 4096}) add_training(time);
  add_decode(8192);
  constexpr Index time = 8192;
  add_pattern("causal", Causal(), time);
  add_pattern("window 4096", And(Causal(), Window<>(4096)), time);
  add_pattern("window 1024", And(Causal(), Window<>(1024)), time);
  add_pattern("window 256, 64 sinks", And(Causal(), Or(Window<>(256), Sinks<>(64))), time);
  add_pattern("strided 1 in 16", And(Causal(), Blocks<Strided>{64, {1, 16, 2}}), time);
  for (const Index tokens : {1024, 65536, 1048576}) {
    add_prefix("softmax_scan", SoftmaxScan<float, Dynamic, Dynamic>(4, 16), tokens, 4.0 * 64);
  }
  for (const Index tokens : {1024, 65536}) {
    Aaren<float, Dynamic, Dynamic> layer(64, 4);
    initialize(layer, 1);
    add_prefix("aaren", prepare(layer), tokens, 4.0 * 64 * 66);
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
