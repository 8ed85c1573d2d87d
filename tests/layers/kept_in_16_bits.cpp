#include <algorithm>
#include <cmath>
#include <numbers>
#include <stepscan/layers/biased_attention.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/sigmoid_attention.hpp>
#include <stepscan/layers/softmax_attention.hpp>
#include <stepscan/layers/state.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

constexpr AttentionSizes sizes{4, 2, 19, 8};
constexpr Index tokens = 40;

template <class Stored>
using Softmax = SoftmaxAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, Chunked<>, Stored>;
template <class Stored>
using Biased =
    BiasedAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, AttentionBias::sink_logit, true, Chunked<>, Stored>;
template <class Stored>
using SigmoidAttention =
    SigmoidAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, Similarity::sigmoid, true, Chunked<>, Stored>;

/// The first `at` tokens one after another, those behind in a form.
template <class L, class Form>
Sequence<float> scanned(const L& layer, typename L::State& state, const SequenceView<const float>& x, const Form& form,
                        Index at) {
  Sequence<float> y(x.batch, x.time, layer.output_size());
  const SequenceView<float> out(y);
  if (at > 0) layer.scan(state, x.slice(0, at), out.slice(0, at), Recurrent());
  layer.scan(state, x.slice(at, x.time - at), out.slice(at, x.time - at), form);
  return y;
}
template <class L, class Form>
Sequence<float> scanned(const L& layer, const SequenceView<const float>& x, const Form& form, Index at = 0) {
  auto state = layer.initial_state(x.batch);
  return scanned(layer, state, x, form, at);
}

/// x with keys and values rounded beforehand.
template <class Stored>
Sequence<float> rounded(Sequence<float> x) {
  const Index first = sizes.heads * sizes.key_dim;
  for (Index i = 0; i < x.size(); ++i) {
    if (i % x.extent(2) >= first) x[i] = static_cast<float>(static_cast<Stored>(x[i]));
  }
  return x;
}

/// A state is restored bit for bit, and nothing is allocated.
template <class L>
void check_memory(const L& layer, const Sequence<float>& x) {
  auto state = layer.initial_state(3), restored = state;
  Sequence<float> y(3, tokens, layer.output_size());
  layer.scan(state, x, y);
  restore(snapshot(state), restored);
  CHECK(snapshot(restored) == snapshot(state));
  const SequenceView<const float> in(x);
  const SequenceView<float> out(y);
  Workspace workspace;
  layer.scan(state, in, out, workspace);
  const long before = testing::allocation_count();
  layer.step(state, in.frame(0), out.frame(0));
  layer.scan(state, in, out, workspace);
  CHECK(testing::allocation_count() == before);
}

/// Both layers have the same parameters; `error` is how far they may lie apart for numbers in +-1.
template <class Stored, class L, class Plain>
void check_kept(const L& layer, const Plain& plain, double error) {
  const auto x = random_sequence<float>(3, tokens, layer.input_size(), 1), near = rounded<Stored>(x);
  CHECK(distance(scanned(layer, x, Recurrent()), scanned(plain, x, Recurrent())) < error);
  // To keep rounded numbers is to attend to numbers that were rounded: bit for bit.
  CHECK(distance(scanned(layer, x, Recurrent()), scanned(plain, near, Recurrent())) == 0);
  CHECK(distance(scanned(layer, x, Chunked<>()), scanned(plain, near, Chunked<>())) == 0);
  for (Index at = 0; at <= tokens; ++at) {
    CHECK(distance(scanned(layer, x, Chunked<>(), at), scanned(layer, x, Recurrent())) < 1e-6);
  }
  check_memory(layer, x);
  CHECK(sizeof(layer.initial_state(1).keys[0]) == 2);
}

/// The largest difference of what two caches keep, and whether no number differs by more than its last bit.
struct Apart {
  double largest = 0;
  bool neighbours = true;

  template <class Numbers>
  Apart(const Numbers& a, const Numbers& b) {
    for (Index i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(double{static_cast<float>(a[i])} - double{static_cast<float>(b[i])}));
      neighbours = neighbours && std::abs(int{a[i].bits} - int{b[i].bits}) <= 1;
    }
  }
};

template <class Numbers>
double largest_of(const Numbers& numbers) {
  double most = 0;
  for (Index i = 0; i < numbers.size(); ++i) most = std::max(most, std::abs(double{static_cast<float>(numbers[i])}));
  return most;
}

/// Whether a layer keeps what one in float keeps, rounded.
template <class Stored, class Rounding, class Plain>
bool is_rounded(const Rounding& kept, const Plain& plain) {
  for (Index i = 0; i < kept.size(); ++i) {
    if (kept[i].bits != static_cast<Stored>(plain[i]).bits) return false;
  }
  return kept.size() == plain.size();
}

constexpr MultiHeadOptions options{.positions = Positions::rotary};
constexpr MultiHeadSizes multi_head{.model = 12, .heads = 4, .kv_heads = 2, .head_dim = 6, .capacity = 40};
template <class Stored>
using MultiHead = MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, options, Chunked<>, Stored>;

/// How far two forms may lie apart that keep keys and values of which some differ by `keys` and `values`. A logit then
/// differs by e = scale |q|_1 keys or less, and a softmax's weights by exp(2 e) - 1 in all, so that what a head gets
/// differs by values + (exp(2 e) - 1) max|v|, and y by that times the sum of a row of o_proj. Forms that keep the same
/// numbers are held to what is asked of those in float.
template <class Stored>
double bound(const MultiHead<Stored>& layer, const Sequence<float>& x, const typename MultiHead<Stored>::State& state,
             double keys, double values) {
  Sequence<float> projected(x.extent(0), x.extent(1), layer.qkv_proj.output_size());
  NoState none;
  layer.qkv_proj.scan(none, x, projected);
  const double dim = double(multi_head.head_dim), turned = std::numbers::sqrt2 * largest_of(projected);
  const double logit = dim * turned * keys / std::sqrt(dim);
  double most = 0;
  for (Index i = 0; i < layer.o_proj.output_size(); ++i) {
    double sum = 0;
    for (Index k = 0; k < layer.o_proj.input_size(); ++k) sum += std::abs(double{layer.o_proj.weight(i, k)});
    most = std::max(most, sum);
  }
  return most * (values + std::expm1(2 * logit) * largest_of(state.cache.values)) + 1e-6;
}

template <class Stored>
void check_multi_head(double error) {
  const MultiHead<float> plain = [] {
    MultiHead<float> made(multi_head);
    testing::randomize(made, 3);
    return made;
  }();
  MultiHead<Stored> layer(multi_head);
  testing::copy_parameters(plain, layer);
  const auto plan = prepare(layer);
  const auto x = random_sequence<float>(3, tokens, multi_head.model, 1);
  const auto start = layer.initial_state(3);
  auto recurrent = start, planned = start;
  const auto y = scanned(layer, recurrent, x, Recurrent(), 0), of_plan = scanned(plan, planned, x, Recurrent(), 0);
  const double apart = distance(y, scanned(plain, x, Recurrent()));
  CHECK(apart > 0);
  CHECK(apart < error);
  for (Index at = 0; at <= tokens; ++at) {
    CAPTURE(at);
    auto state = start, plan_state = start;
    // A plan projects to the same bits in every form: the same numbers are kept, and outputs agree as those in float.
    const auto chunked = scanned(plan, plan_state, x, Chunked<>(), at);
    CHECK(distance(chunked, of_plan) < 1e-6);
    CHECK(snapshot(plan_state) == snapshot(planned));
    // The layer itself does not: where a number lies on a tie, its neighbour may be kept.
    const auto other = scanned(layer, state, x, Chunked<>(), at);
    const Apart keys(state.cache.keys, recurrent.cache.keys), values(state.cache.values, recurrent.cache.values);
    CHECK(keys.neighbours);
    CHECK(values.neighbours);
    CHECK(distance(other, y) < bound<Stored>(layer, x, recurrent, keys.largest, values.largest));
  }
  // In each form, what is kept are the numbers of the layer in float, rounded.
  for (const Index at : {Index{0}, tokens}) {
    auto state = start;
    auto in_float = plain.initial_state(3);
    static_cast<void>(scanned(layer, state, x, Chunked<>(), at));
    static_cast<void>(scanned(plain, in_float, x, Chunked<>(), at));
    CHECK(is_rounded<Stored>(state.cache.keys, in_float.cache.keys));
    CHECK(is_rounded<Stored>(state.cache.values, in_float.cache.values));
  }
  auto stepped = start;
  Sequence<float> steps(3, tokens, layer.output_size());
  const SequenceView<const float> in(x);
  for (Index t = 0; t < tokens; ++t) layer.step(stepped, in.frame(t), SequenceView<float>(steps).frame(t));
  CHECK(distance(steps, y) == 0);
  CHECK(snapshot(stepped) == snapshot(recurrent));
  check_memory(layer, x);
}

}  // namespace

TEST_CASE("attention to keys and values kept in 16 bits, all of them and a window", "[layers]") {
  for (const Index capacity : {40, 11}) {
    CAPTURE(capacity);
    check_kept<Half>(Softmax<Half>(sizes, capacity, 2), Softmax<float>(sizes, capacity, 2), 1e-3);
  }
  check_kept<BFloat16>(Softmax<BFloat16>(sizes, 40), Softmax<float>(sizes, 40), 8e-3);
  check_kept<Half>(SigmoidAttention<Half>(sizes, 40), SigmoidAttention<float>(sizes, 40), 1e-3);
  Biased<Half> biased(sizes, 40);
  Biased<float> plain(sizes, 40);
  testing::randomize(biased, 3);
  testing::copy_parameters(biased, plain);
  check_kept<Half>(biased, plain, 1e-3);
}

TEST_CASE("multi_head_attention with keys and values kept in 16 bits", "[layers]") {
  check_multi_head<Half>(3e-3);
  check_multi_head<BFloat16>(3e-2);
}

TEST_CASE("attention to keys kept in 16 bits: more room holds the same numbers", "[layers]") {
  const Softmax<BFloat16> layer(sizes, 6, 1);
  const auto x = random_sequence<float>(1, 9, layer.input_size(), 1);
  Sequence<float> y(1, 9, layer.output_size());
  auto state = layer.initial_state(1);
  layer.scan(state, x, y);
  const auto larger = layer.reserve(state, 8);
  CHECK(larger.length[0] == 6);
  CHECK(larger.key(0, 0)[0].bits == state.key(0, 0)[0].bits);
}
