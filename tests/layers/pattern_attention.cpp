#include <stepscan/layers/pattern_attention.hpp>
#include <support/any_pattern.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace patterns;
using testing::AnyPattern;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

using Attention = PatternAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic, AnyPattern>;
constexpr AttentionSizes sizes{2, 1, 3, 4};
constexpr Index tokens = 140;

struct Named {
  std::string name;
  AnyPattern pattern;
};

/// What lists and layouts refer to.
const std::vector<Index> columns{1, 7, 90, 2, 3, 70}, distances{0, 5, 64, 1, 2, 17};
const std::vector<std::uint8_t> blocks = [] {
  std::vector<std::uint8_t> chosen;
  Random random(4);
  for (int i = 0; i < 2 * 14 * 14; ++i) chosen.push_back(random.below(3) == 0);
  return chosen;
}();

std::vector<Named> all_patterns() {
  return {{"full", AnyPattern(Full())},
          {"window", AnyPattern(Window<>(70))},
          {"sinks and window", AnyPattern(Or(Window<>(9), Sinks<2>()))},
          {"last queries", AnyPattern(Or(Window<>(9), LastQueries{100}))},
          {"dilated", AnyPattern(And(Window<>(75), Dilation{5}))},
          {"strided", AnyPattern(Blocks<Strided>{16, {1, 3, 1}})},
          {"strided, one head dense", AnyPattern(Blocks<Strided>{4, {2, 3, 1, 0, 0}})},
          {"blocks, some queries see nothing", AnyPattern(Blocks<Layout>{10, {blocks, 2, 14, 14}})},
          {"vertical and slash", AnyPattern(Or(Columns{{columns, 2, 3}}, Slashes{{distances, 2, 3}}))}};
}

/// The operator over the whole sequence.
Sequence<double> truth(const Attention& layer, const SequenceView<const double>& x, const AnyPattern& pattern) {
  Sequence<double> y(x.batch, x.time, layer.output_size());
  Workspace workspace;
  const AttentionInputs<double> in{sizes, layer.scale, layer.queries(x), layer.keys(x), layer.values(x)};
  const And causal(Causal(), pattern);
  attention_scan<SoftmaxWeights<double>, decltype(And(causal)), double>({}, causal, in, y, {}, workspace);
  return y;
}

/// One part of a sequence in one form, the other in another.
template <class First, class Second>
Sequence<double> split(const Attention& layer, const SequenceView<const double>& x, Index at, const First& first,
                       const Second& second) {
  Sequence<double> y(x.batch, x.time, layer.output_size());
  const SequenceView<double> out(y);
  auto state = layer.initial_state(x.batch);
  layer.scan(state, x.slice(0, at), out.slice(0, at), first);
  layer.scan(state, x.slice(at, x.time - at), out.slice(at, x.time - at), second);
  return y;
}

}  // namespace

TEST_CASE("pattern_attention: every step sees its row of the pattern, split anywhere", "[layers]") {
  const auto x = random_sequence<double>(2, tokens, 2 * 3 + 3 + 4, 1);
  for (const auto& [name, pattern] : all_patterns()) {
    const Attention layer(sizes, pattern, tokens);
    const auto expected = truth(layer, x, pattern);
    for (Index at = 0; at <= tokens; at += 7) {
      CAPTURE(name, at);
      CHECK(distance(split(layer, x, at, Chunked<>(), Recurrent()), expected) < 1e-13);
      CHECK(distance(split(layer, x, at, Recurrent(), Chunked<>()), expected) < 1e-13);
    }
  }
}

TEST_CASE("pattern_attention: a query that sees nothing gives 0, its keys left out of later ones", "[layers]") {
  const std::vector<std::uint8_t> none(2 * 14 * 14, 0);
  const AnyPattern pattern(Blocks<Layout>{10, {none, 2, 14, 14}});
  const Attention layer(sizes, pattern, tokens);
  const auto y = split(layer, random_sequence<double>(1, tokens, layer.input_size(), 1), 70, Recurrent(), Chunked<>());
  CHECK(std::all_of(y.begin(), y.end(), [](double value) { return value == 0; }));
}

TEST_CASE("pattern_attention: logits of 1e4, token by token and in tiles", "[layers]") {
  Attention layer(sizes, AnyPattern(Or(Window<>(9), Sinks<2>())), tokens);
  layer.scale = 1e4;
  const auto x = random_sequence<double>(1, tokens, layer.input_size(), 1);
  const auto expected = truth(layer, x, layer.key_pattern);
  CHECK(distance(split(layer, x, 30, Recurrent(), Chunked<>()), expected) < 1e-10);
  CHECK(distance(split(layer, x, 30, Chunked<>(), Recurrent()), expected) < 1e-10);
}

TEST_CASE("pattern_attention: the smallest cache keeps all that a later query sees", "[layers]") {
  const auto x = random_sequence<double>(1, tokens, 2 * 3 + 3 + 4, 1);
  const auto check = [&](const Attention& layer) {
    const auto expected = truth(layer, x, layer.key_pattern);
    for (const Index at : {0, 3, 20, 71, 139, 140}) {
      CHECK(distance(split(layer, x, at, Chunked<>(), Recurrent()), expected) < 1e-13);
      CHECK(distance(split(layer, x, at, Recurrent(), Chunked<>()), expected) < 1e-13);
    }
  };
  for (const auto& [name, pattern] : all_patterns()) {
    CAPTURE(name);
    const Index capacity = capacity_for(pattern, sizes.heads, sizes.kv_heads, tokens);
    CHECK(capacity == (name == "window" ? 70 : name == "dilated" ? 75 : tokens));
    if (capacity < tokens) check(Attention(sizes, pattern, capacity));
  }
  check(Attention(sizes, AnyPattern(Or(Window<>(70), Sinks<3>())), 73, 3));
  check(Attention(sizes, AnyPattern(Or(And(Window<>(90), Dilation{3}), Sinks<80>())), 170, 80));
}

TEST_CASE("pattern_attention: no room is reserved once positions are lost", "[layers]") {
  const Attention layer(sizes, AnyPattern(Window<>(4)), 5);
  auto state = layer.initial_state(1);
  state.length.fill(5);
  CHECK(layer.reserve(state, 8).capacity() == 8);
  state.length.fill(6);
  CHECK_THROWS_AS(layer.reserve(state, 8), ArgumentError);
}
