#include <stepscan/layers/aaren.hpp>
#include <stepscan/layers/aaren_backward.hpp>
#include <stepscan/layers/attention_layer_backward.hpp>
#include <stepscan/layers/pointer_attention.hpp>
#include <stepscan/layers/softmax_attention.hpp>
#include <stepscan/layers/softmax_scan.hpp>
#include <stepscan/layers/softmax_scan_backward.hpp>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/key_lists.hpp>

#include "subject.hpp"

/// Softmax attention: causal over whole sequences in each form, forward and backward, one token against a long cache,
/// patterns at T = 8,192; the prefix scan of a fixed query; Aaren; and pointers into sets of 32 items.
///
/// Floor: 2 (key_dim + value_dim) floating-point operations and an exponential per head and pair that is seen, at the
/// speed of a matrix product; a step reads its cache. Causal, 8 heads of 64, T = 1,024: the products alone take 9.7 ms
/// at the speed of one of 512 (2.42 ms), 77 % of the 12.5 ms measured; exponentials and maxima take 1.5 of the rest.
/// Backward 64 %; a step against 8,192 keys 35 % of the third cache level.
namespace {

using namespace bench;

constexpr Index heads = 8, dim = 64;
constexpr AttentionSizes sizes{heads, heads, dim, dim};

template <class Stored>
using Keeping = SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, Chunked<>, Stored>;

auto causal(Index count, Index capacity) {
  const double channels = static_cast<double>(count * dim);
  return subject({"softmax_attention", {count, dim}, {.pair_flops = 4 * channels, .pair_exps = double(count)}},
                 Keeping<float>({count, count, dim, dim}, capacity));
}

/// One token, the cache full.
template <class Stored>
void add_decode(const std::string& variant, Index cached) {
  const double numbers = 2 * static_cast<double>(heads * dim * cached), bytes = sizeof(Stored) * numbers;
  const Work work{.flops = 2 * numbers, .exps = static_cast<double>(heads * cached), .data = {bytes, bytes}};
  add(name_of("softmax_attention" + variant, "Recurrent", "step", {1, cached, heads, dim}, 1), 1, work, [=] {
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
  const double pairs = share_of(pattern, time) * static_cast<double>(heads * time * time) / 2;
  add(name_of("pattern_attention, " + name, "Parallel", "scan", {1, time, heads, dim}, 1), 1,
      Work{.tokens = static_cast<double>(time), .flops = 4 * dim * pairs, .exps = pairs}, [=] {
        Sequences q(1, time, heads * dim), y(q.shape());
        fill_uniform(q, 1);
        return [=, workspace = Workspace()]() mutable {
          const AttentionInputs<float> in{sizes, 0.125F, std::as_const(q), std::as_const(q), std::as_const(q)};
          attention_scan<SoftmaxWeights<float>, Pattern, float>({}, pattern, in, y, {}, workspace);
          benchmark::DoNotOptimize(y.data());
        };
      });
}

/// Windows cost what they show, whatever the length.
void add_patterns() {
  using namespace patterns;
  for (const Index time : lengths()) add_pattern("window 128", And(Causal(), Window<>(128)), time);
  if (quick) return;
  constexpr Index time = 8192;
  add_pattern("causal", Causal(), time);
  add_pattern("window 4096", And(Causal(), Window<>(4096)), time);
  add_pattern("window 1024", And(Causal(), Window<>(1024)), time);
  add_pattern("window 256, 64 sinks", And(Causal(), Or(Window<>(256), Sinks<>(64))), time);
  add_pattern("strided", And(Causal(), Blocks<Strided>{64, {1, 21, 2}}), time);
}

/// Every item of a set is also a query at it.
void add_pointers(Index sets, Index items, Index width) {
  const double tokens = static_cast<double>(sets * items), features = static_cast<double>(width);
  const Work work{.tokens = tokens,
                  .flops = tokens * (4 * features * features + 5 * static_cast<double>(items) * features),
                  .exps = tokens * static_cast<double>(items) * (features + 1)};
  add(name_of("pointer_attention", "own", "scan", {sets, items, width}, 1), 1, work, [=] {
    auto pointer = fresh<PointerAttention<float>>(width, width, width);
    Sequences x(sets, items, width), log_probs(sets, items, items), probs(log_probs.shape()), found(x.shape());
    fill_uniform(x, 1);
    return [=, workspace = Workspace()]() mutable {
      const SequenceView<const float> in = std::as_const(x);
      pointer.point(pointer.remember(in), in, in, {}, {log_probs, probs, found, nullptr}, workspace);
      benchmark::DoNotOptimize(found.data());
    };
  });
}

}  // namespace

void bench::add_benchmarks() {
  for (const Index time : lengths()) causal(4, time).forms(1, time);
  for (const Index time : training_lengths()) {
    for (const int threads : {1, 2}) causal(4, time).training(1, time, threads);
  }
  for (Index cached = 1024; cached <= (quick ? 8192 : 32768); cached *= quick ? 8 : 2) add_decode<float>("", cached);
  add_decode<Half>(", Half", 8192);
  add_decode<BFloat16>(", BFloat16", 8192);
  add_patterns();
  add_pointers(16, 32, 64);
  subject({"softmax_scan", {4, 16}, {.flops = 4 * 64, .exps = 8}}, SoftmaxScan<float, Dynamic, Dynamic>(4, 16)).all();
  const auto aaren =
      subject({"aaren", {64, 4}, {.flops = 4 * 64 * 66, .exps = 8}}, fresh<Aaren<float, Dynamic, Dynamic>>(64, 4));
  aaren.all();
  if (quick) return;
  for (const Index time : {1024, 4096, 8192}) {
    for (const int threads : {1, 2}) causal(heads, time).scan<Parallel<>>(1, time, threads);
  }
  for (const Index time : {1024, 4096}) causal(heads, time).training(1, time, 1);
  for (const Index time : {65536, 1048576}) aaren.scan<Chunked<>>(1, time, 1);
}
