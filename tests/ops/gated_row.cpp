#include <stepscan/kernels/half.hpp>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::random_sequence;
using testing::randomize;

namespace {

/// A plan's single streams, whose weights are packed for one row where that pays, against the same streams in a batch,
/// which takes the weights packed for many rows: the same bits.
template <class L, class Stored = typename L::scalar_type>
void check_rows(Index inputs, Index hidden) {
  using S = typename L::scalar_type;
  L layer(inputs, hidden);
  randomize(layer, 1);
  const auto plan = prepare<Stored>(layer);
  const Index batch = 3, time = 5;
  const auto x = random_sequence<S>(batch, time, inputs, 2);
  testing::Sequence<S> together(batch, time, hidden), alone(batch, time, hidden);
  auto state = plan.initial_state(batch);
  plan.template scan<Recurrent>(state, x, together);
  for (Index b = 0; b < batch; ++b) {
    auto own = plan.initial_state(1);
    const SequenceView<const S> in(x);
    const SequenceView<S> out(alone);
    plan.template scan<Recurrent>(own, in.members(b, 1), out.members(b, 1));
    auto stepped = plan.initial_state(1);
    bool same = true;
    Tensor<S, Dynamic, Dynamic> y(1, hidden);
    for (Index t = 0; t < time; ++t) {
      plan.step(stepped, in.members(b, 1).frame(t), MatrixView<S>(y));
      same = same && std::equal(y.begin(), y.end(), out.token(b, t));
    }
    CHECK(same);
    for_each_tensor(
        [&](const Path&, const auto& all, const auto& one, const auto& step) {
          CHECK(std::equal(one.begin(), one.end(), all.data() + b * hidden));
          CHECK(one == step);
        },
        state, own, stepped);
  }
  CHECK(alone == together);
}

}  // namespace

TEMPLATE_TEST_CASE("one stream has the bits it has in a batch", "[ops][gated_row]", float, double) {
  using S = TestType;
  const Index hidden = GENERATE(3, 45, 52, 64, 67, 91, 129);
  CAPTURE(hidden);
  check_rows<Lstm<S, Dynamic, Dynamic>>(2, hidden);
  check_rows<Gru<S, Dynamic, Dynamic>>(3, hidden);
  check_rows<ElmanRnn<S, Dynamic, Dynamic>>(1, 3 * hidden);
}

TEST_CASE("weights of 16 bits packed for one row", "[ops][gated_row]") {
  const Index hidden = GENERATE(64, 77, 130);
  CAPTURE(hidden);
  check_rows<Lstm<float, Dynamic, Dynamic>, Half>(2, hidden);
  check_rows<Lstm<float, Dynamic, Dynamic>, BFloat16>(2, hidden);
  check_rows<Gru<float, Dynamic, Dynamic>, BFloat16>(2, hidden);
}
