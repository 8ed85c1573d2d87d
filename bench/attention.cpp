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

template <class Stored>
using Keeping = SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, Chunked<>, Stored>;
using Attention = Keeping<float>;
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
template <class Stored>
void add_decode(const std::string& name, Index cached) {
  add(name_of(name, "Recurrent", "step", {1, cached, heads, dim}, 1), 1, 1,
      4.0 * static_cast<double>(heads * dim * cached), [=] {
        const Keeping<Stored> layer(sizes, cached);
        Tensor<float, Dynamic, Dynamic> x(1, layer.input_size()), y(1, layer.output_size());
        fill_uniform(x, 1);
        auto state = layer.initial_state(1);
        Random random(1);
        for (auto* tensor : {&state.keys, &state.values}) {
          for (Stored& number : *tensor) number = static_cast<Stored>(static_cast<float>(random.uniform(-1, 1)));
        }
        state.length.fill(cached);
        return [=]() mutable {
          layer.step(state, MatrixView<const float>(x), MatrixView<float>(y));
          benchmark::DoNotOptimize(y.data());
        };
      });
}

/// What a step reads, and no more: the floor of its time where it comes from memory.
void add_reading(const std::string& name, Index bytes) {
  add(name, 1, 1, 0, [=] {
    Tensor<float, Dynamic> numbers(bytes / static_cast<Index>(sizeof(float)));
    fill_uniform(numbers, 1);
    return [=]() mutable {
      auto sums = sum_lanes<float, 1>(numbers.size(), [&](Index i, auto lanes) {
        return std::array{lanes.load(std::as_const(numbers).data() + i)};
      });
      benchmark::DoNotOptimize(sums);
    };
  });
}

/// The share of the blocks that a causal attention visits.
template <class Pattern>
double share_of(const Pattern& pattern, Index time) {
  Index seen = 0, all = 0;
  for (Index h = 0; h < heads; ++h) {
    for (Index i = 0; i < time; i += mask_keys) {
      for (Index j = 0; j <= i; j += mask_keys, ++all) {
        seen += pattern.look({0, h, h}, {i, i + mask_keys}, {j, j + mask_keys}) == Visibility::none ? 0 : 1;
      }
    }
  }
  return static_cast<double>(seen) / static_cast<double>(all);
}

template <class Pattern>
void add_pattern(const std::string& name, const Pattern& pattern, Index time) {
  const double share = share_of(pattern, time);
  const std::string label = name + ", " + std::to_string(static_cast<int>(1000 * share)) + " per mille";
  add(name_of("pattern_attention", label, "scan", {1, time, heads, dim}, 1), 1, static_cast<double>(time),
      flops_of(time, 0.5 * share), [=] {
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
  add_reading("reading/32 MiB/threads:1", 32 << 20);
  add_decode<float>("softmax_attention", 8192);
  add_reading("reading/16 MiB/threads:1", 16 << 20);
  add_decode<Half>("softmax_attention, Half", 8192);
  add_decode<BFloat16>("softmax_attention, BFloat16", 8192);
  constexpr Index time = 8192;
  add_pattern("causal", Causal(), time);
  add_pattern("window 4096", And(Causal(), Window<>(4096)), time);
  add_pattern("window 1024", And(Causal(), Window<>(1024)), time);
  add_pattern("window 384", And(Causal(), Window<>(384)), time);
  add_pattern("window 256, 64 sinks", And(Causal(), Or(Window<>(256), Sinks<>(64))), time);
  add_pattern("strided 1 in 16", And(Causal(), Blocks<Strided>{64, {1, 16, 2}}), time);
  for (const Index tokens : {1024, 65536, 1048576}) {
    add_prefix("softmax_scan", SoftmaxScan<float, Dynamic, Dynamic>(4, 16), tokens, 4.0 * 64);
  }
  for (const Index tokens : {1024, 65536, 1048576}) {
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
