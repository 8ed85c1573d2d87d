#include <cmath>
#include <stepscan/ops/decay_attention.hpp>
#include <stepscan/ops/mlstm.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>
#include <vector>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

/// One head of one sequence, token at a time: S_t = diag(a_t) S_(t-1) + k_t v_t^T, y_t = q_t^T S_t.
template <class DecayOf>
std::vector<double> truth(const Sequence<double>& q, const Sequence<double>& k, const Sequence<double>& v, Index b,
                          Index h, const DecaySizes& sizes, std::vector<double>& state, DecayOf&& decay_of) {
  std::vector<double> outputs;
  for (Index t = 0; t < q.extent(1); ++t) {
    std::vector<double> y(static_cast<std::size_t>(sizes.value_dim), 0.0);
    for (Index d = 0; d < sizes.key_dim; ++d) {
      for (Index j = 0; j < sizes.value_dim; ++j) {
        double& s = state[static_cast<std::size_t>(d * sizes.value_dim + j)];
        s = decay_of(t, d) * s + k(b, t, h * sizes.key_dim + d) * v(b, t, h * sizes.value_dim + j);
        y[static_cast<std::size_t>(j)] += q(b, t, h * sizes.key_dim + d) * s;
      }
    }
    outputs.insert(outputs.end(), y.begin(), y.end());
  }
  return outputs;
}

/// Every form of an operator on [2, time] sequences against the truth.
template <class Policy, class DecayOf>
void check_forms(const DecaySizes& sizes, Index time, const Policy& policy, DecayOf&& decay_of) {
  const Index keys = sizes.heads * sizes.key_dim, values = sizes.heads * sizes.value_dim;
  const auto q = random_sequence<double>(2, time, keys, 1), k = random_sequence<double>(2, time, keys, 2);
  const auto v = random_sequence<double>(2, time, values, 3);
  const Index size = sizes.key_dim * sizes.value_dim;
  const auto start = random_sequence<double>(2, sizes.heads, size, 4);
  DecayAttention<double, Policy> op;
  op.sizes = sizes;
  op.policy = policy;
  op.q = q;
  op.k = k;
  op.v = v;

  std::vector<double> expected(static_cast<std::size_t>(2 * time * values)), ends;
  for (Index b = 0; b < 2; ++b) {
    for (Index h = 0; h < sizes.heads; ++h) {
      const double* first = &start(b, h, 0);
      std::vector<double> state(first, first + size);
      const auto own = truth(q, k, v, b, h, sizes, state, [&](Index t, Index d) { return decay_of(b, t, h, d); });
      for (Index t = 0; t < time; ++t) {
        std::copy_n(own.data() + t * sizes.value_dim, sizes.value_dim,
                    expected.data() + (b * time + t) * values + h * sizes.value_dim);
      }
      ends.insert(ends.end(), state.begin(), state.end());
    }
  }
  Workspace workspace;
  const auto check = [&](const ScanSchedule& schedule, bool recurrent) {
    auto state = start;
    Sequence<double> y(2, time, values);
    decay_attention_scan(op, {state.data()}, SequenceView<double>(y), schedule, recurrent, workspace);
    CAPTURE(sizes.key_dim, sizes.value_dim, time, schedule.chunk, schedule.parallel, recurrent);
    CHECK(distance(y, expected) < 1e-12 * static_cast<double>(sizes.key_dim * 40));
    CHECK(distance(state, ends) < 1e-12 * 40);
  };
  check({}, true);
  for (const Index chunk : {0, 3, 16}) {
    check({chunk, false}, false);
    check({chunk, true}, false);
  }
}

}  // namespace

TEST_CASE("decay attention: every policy in every form is the recurrence", "[ops]") {
  for (const DecaySizes sizes : {DecaySizes{1, 1, 1}, {2, 3, 5}, {2, 9, 17}, {1, 33, 8}}) {
    for (const Index time : {1, 7, 33, 300}) {
      const auto g = random_sequence<double>(2, time, sizes.heads * sizes.key_dim, 5, 6);
      Sequence<double> log_decay = g;
      for (double& value : log_decay) value = -std::exp(value - 4);
      const auto at = [&](Index b, Index t, Index feature) { return std::exp(log_decay(b, t, feature)); };
      check_forms(sizes, time, NoDecay<double>{}, [](Index, Index, Index, Index) { return 1.0; });
      const std::vector<double> fixed{-0.3, -0.001};
      check_forms(sizes, time, HeadDecay<double>{{}, fixed.data()},
                  [&](Index, Index, Index h, Index) { return std::exp(fixed[static_cast<std::size_t>(h)]); });
      check_forms(sizes, time, TokenDecay<double>{{}, log_decay, {}},
                  [&](Index b, Index t, Index h, Index) { return at(b, t, h); });
      check_forms(sizes, time, ChannelDecay<double>{sizes.key_dim, log_decay, {}},
                  [&](Index b, Index t, Index h, Index d) { return at(b, t, h * sizes.key_dim + d); });
    }
  }
}

TEST_CASE("decay attention: decays from exp(-100) to 1 stay finite over 100,000 tokens in float", "[ops]") {
  constexpr Index time = 100000;
  const DecaySizes sizes{1, 4, 3};
  const auto q = random_sequence<float>(1, time, 4, 1), k = random_sequence<float>(1, time, 4, 2);
  const auto v = random_sequence<float>(1, time, 3, 3);
  auto g = random_sequence<float>(1, time, 4, 4);
  for (Index i = 0; i < g.size(); ++i) g[i] = i % 4 == 3 ? 0.0F : -std::pow(100.0F, std::abs(g[i]));
  DecayAttention<float, ChannelDecay<float>> op;
  op.sizes = sizes;
  op.policy = {4, g, {}};
  op.q = q;
  op.k = k;
  op.v = v;
  Workspace workspace;
  Sequence<float> reference(1, time, 3), y(1, time, 3), state(1, 4, 3);
  decay_attention_scan(op, {state.data()}, SequenceView<float>(reference), {}, true, workspace);
  for (const bool parallel : {false, true}) {
    // A decay of exactly 1 leaves the rounding of sums of some hundreds; one next to 1 would round the same way every
    // time.
    state.fill(0);
    decay_attention_scan(op, {state.data()}, SequenceView<float>(y), {32, parallel}, false, workspace);
    CHECK(distance(y, reference) < 0.05);  // infinite if not finite
  }
}

TEST_CASE("decay attention: constant gates are retention, and mLSTM with small inputs is attention by scalar gates",
          "[ops]") {
  constexpr Index time = 45;
  const DecaySizes sizes{2, 5, 4};
  const auto q = random_sequence<double>(1, time, 10, 1), k = random_sequence<double>(1, time, 10, 2);
  const auto v = random_sequence<double>(1, time, 8, 3);
  const std::vector<double> fixed{-0.2, -0.01};
  Workspace workspace;
  const auto run = [&](auto op) {
    op.sizes = sizes;
    op.q = q;
    op.k = k;
    op.v = v;
    Sequence<double> y(1, time, 8), state(2, 5, 4), normaliser(1, 2, 5), maximum(1, 1, 2);
    decay_attention_scan(op, {state.data(), normaliser.data(), maximum.data()}, SequenceView<double>(y), {32}, false,
                         workspace);
    return y;
  };
  DecayAttention<double, HeadDecay<double>> retention;
  retention.policy.log_decay = fixed.data();
  Sequence<double> channels(1, time, 10), tokens(1, time, 2), forget(1, time, 2), input(1, time, 2);
  for (Index t = 0; t < time; ++t) {
    for (Index i = 0; i < 10; ++i) channels(0, t, i) = fixed[static_cast<std::size_t>(i / 5)];
    for (Index h = 0; h < 2; ++h) {
      const double g = fixed[static_cast<std::size_t>(h)];
      tokens(0, t, h) = g;
      forget(0, t, h) = g - std::log(-std::expm1(g));  // logsigmoid of it is g
      input(0, t, h) = -60;
    }
  }
  const Sequence<double> expected = run(retention);
  DecayAttention<double, ChannelDecay<double>> gated;
  gated.policy = {5, channels, {}};
  CHECK(distance(run(gated), expected) < 1e-12);
  DecayAttention<double, TokenDecay<double>> scalar;
  scalar.policy = {{}, tokens, {}};
  CHECK(distance(run(scalar), expected) < 1e-12);

  // Inputs of weight exp(-60) leave the denominator at its bound exp(-m), so y is exp(-60) times the attention.
  DecayAttention<double, MlstmGates<double>, BoundedRead> mlstm;
  mlstm.policy = {input, forget, {}, {}};
  Sequence<double> found = run(mlstm);
  for (double& value : found) value *= std::exp(60.0);
  CHECK(distance(found, expected) < 1e-10);
}
