#include <stepscan/layers/softmax_attention.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

using Attention = SoftmaxAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic>;
constexpr AttentionSizes sizes{2, 1, 3, 4};

TEST_CASE("softmax_attention: a cache with more room holds the same keys", "[layers]") {
  const Attention small(sizes, 8, 2), large(sizes, 16, 2);
  const auto x = random_sequence<double>(1, 20, small.input_size(), 1),
             more = random_sequence<double>(1, 9, small.input_size(), 2);
  Sequence<double> y(1, 20, small.output_size()), expected(1, 9, small.output_size()), found = expected;
  auto state = small.initial_state(1);
  small.scan(state, x, y);
  auto grown = small.reserve(state, 16);
  small.scan(grown, more, found);

  // The tokens that the small cache holds: the first two and the last six.
  auto held = large.initial_state(1);
  const SequenceView<const double> all(x);
  const SequenceView<double> ignored(y);
  large.scan(held, all.slice(0, 2), ignored.slice(0, 2));
  large.scan(held, all.slice(14, 6), ignored.slice(14, 6));
  large.scan(held, more, expected);
  CHECK(distance(found, expected) < 1e-14);
  CHECK_THROWS_AS(small.reserve(state, 7), ArgumentError);
}

TEST_CASE("softmax_attention: sizes that do not fit are refused", "[layers]") {
  CHECK_THROWS_AS(Attention({3, 2, 4, 4}, 8), ShapeError);
  CHECK_THROWS_AS(Attention({2, 0, 4, 4}, 8), ShapeError);
  CHECK_THROWS_AS(Attention(sizes, 0), ShapeError);
  CHECK_THROWS_AS(Attention(sizes, 4, 4), ShapeError);
}

TEST_CASE("softmax_attention: memory of a scan grows with the tokens, not with their square", "[layers]") {
  const Index before = testing::scan_memory(Attention(sizes, 2048), 1, 1024);
  CHECK(testing::scan_memory(Attention(sizes, 2048), 1, 2048) < 3 * before);
}
