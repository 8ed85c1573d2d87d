#include <stepscan/layers/biased_attention.hpp>
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
using Sigmoid =
    SigmoidAttentionScan<float, Dynamic, Dynamic, Dynamic, Dynamic, Similarity::sigmoid, true, Chunked<>, Stored>;

template <class L, class Form>
Sequence<float> scanned(const L& layer, const SequenceView<const float>& x, const Form& form, Index at = 0) {
  Sequence<float> y(x.batch, x.time, layer.output_size());
  const SequenceView<float> out(y);
  auto state = layer.initial_state(x.batch);
  if (at > 0) layer.scan(state, x.slice(0, at), out.slice(0, at), Recurrent());
  layer.scan(state, x.slice(at, x.time - at), out.slice(at, x.time - at), form);
  return y;
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

  auto state = layer.initial_state(3), restored = state;
  Sequence<float> y(3, tokens, layer.output_size());
  layer.scan(state, x, y);
  restore(snapshot(state), restored);
  CHECK(snapshot(restored) == snapshot(state));
  CHECK(sizeof(state.keys[0]) == 2);
  const SequenceView<const float> in(x);
  const SequenceView<float> out(y);
  Workspace workspace;
  layer.scan(state, in, out, workspace);
  const long before = testing::allocation_count();
  layer.step(state, in.frame(0), out.frame(0));
  layer.scan(state, in, out, workspace);
  CHECK(testing::allocation_count() == before);
}

}  // namespace

TEST_CASE("attention to keys and values kept in 16 bits, all of them and a window", "[layers]") {
  for (const Index capacity : {40, 11}) {
    CAPTURE(capacity);
    check_kept<Half>(Softmax<Half>(sizes, capacity, 2), Softmax<float>(sizes, capacity, 2), 1e-3);
  }
  check_kept<BFloat16>(Softmax<BFloat16>(sizes, 40), Softmax<float>(sizes, 40), 8e-3);
  check_kept<Half>(Sigmoid<Half>(sizes, 40), Sigmoid<float>(sizes, 40), 1e-3);
  Biased<Half> biased(sizes, 40);
  Biased<float> plain(sizes, 40);
  testing::randomize(biased, 3);
  testing::copy_parameters(biased, plain);
  check_kept<Half>(biased, plain, 1e-3);
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
