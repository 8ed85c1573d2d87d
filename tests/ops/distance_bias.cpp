#include <cmath>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/attention_weights.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

constexpr AttentionSizes sizes{6, 3, 5, 4};
constexpr Index queries = 75, keys = 140;
const std::vector<Index> gaps{0, 37};

struct Problem {
  Sequence<double> q = random_sequence<double>(2, queries, sizes.heads* sizes.key_dim, 1);
  Sequence<double> k = random_sequence<double>(2, keys, sizes.kv_heads* sizes.key_dim, 2);
  Sequence<double> v = random_sequence<double>(2, keys, sizes.kv_heads* sizes.value_dim, 3);
  std::vector<double> slopes;

  Problem() {
    for (Index h = 0; h < sizes.heads; ++h) slopes.push_back(alibi_slope(h, sizes.heads));
  }
  /// The first three keys lie further away in the second batch member.
  [[nodiscard]] AttentionInputs<double> inputs() const {
    AttentionInputs<double> in{sizes, 0.5, q, k, v, {}, keys - queries};
    in.distance = {slopes.data(), 3, gaps.data()};
    return in;
  }
};

/// Softmax of scores with biases, the long way.
Sequence<double> truth(const Problem& p, bool causal) {
  Sequence<double> y(2, queries, sizes.heads * sizes.value_dim);
  for (Index b = 0; b < 2; ++b) {
    for (Index h = 0; h < sizes.heads; ++h) {
      const Index g = h / sizes.group();
      for (Index t = 0; t < queries; ++t) {
        const Index i = keys - queries + t;
        double sum = 0;
        for (Index j = 0; j < (causal ? i + 1 : keys); ++j) {
          double s = 0;
          for (Index d = 0; d < sizes.key_dim; ++d)
            s += 0.5 * p.q(b, t, h * sizes.key_dim + d) * p.k(b, j, g * sizes.key_dim + d);
          const Index apart = i - j + (j < 3 ? gaps[static_cast<std::size_t>(b)] : 0);
          const double weight =
              std::exp(s - p.slopes[static_cast<std::size_t>(h)] * std::abs(static_cast<double>(apart)));
          sum += weight;
          for (Index d = 0; d < sizes.value_dim; ++d)
            y(b, t, h * sizes.value_dim + d) += weight * p.v(b, j, g * sizes.value_dim + d);
        }
        for (Index d = 0; d < sizes.value_dim; ++d) y(b, t, h * sizes.value_dim + d) /= sum;
      }
    }
  }
  return y;
}

template <class Pattern>
Sequence<double> attended(const Problem& p, const Pattern& pattern, Index chunk,
                          const AttentionRows<double>& kept = {}) {
  Sequence<double> y(2, queries, sizes.heads * sizes.value_dim);
  Workspace workspace;
  attention_scan<SoftmaxWeights<double>, Pattern, double>({}, pattern, p.inputs(), y, {chunk, false}, workspace, kept);
  return y;
}

}  // namespace

TEST_CASE("distance_bias: the slopes are those of the paper and of its authors' code", "[ops]") {
  for (Index h = 0; h < 8; ++h) CHECK(alibi_slope(h, 8) == std::exp2(-static_cast<double>(h + 1)));
  CHECK(alibi_slope(0, 16) == std::sqrt(0.5));
  const std::vector<double> twelve{-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5};
  for (Index h = 0; h < 12; ++h) {
    CHECK(std::abs(alibi_slope(h, 12) - std::exp2(twelve[static_cast<std::size_t>(h)])) < 1e-16);
  }
  CHECK(alibi_slope(0, 1) == std::exp2(-8.0));
}

TEST_CASE("distance_bias: attention is the softmax of biased scores", "[ops]") {
  const Problem p;
  const auto causal = truth(p, true), full = truth(p, false);
  for (const Index chunk : {0, 1, 5}) {
    CHECK(distance(attended(p, patterns::Causal(), chunk), causal) < 1e-13);
    CHECK(distance(attended(p, patterns::Full(), chunk), full) < 1e-13);
  }
  std::vector<double> memory(queries * keys);
  const MatrixView<double> weights(memory.data(), queries, keys);
  Workspace workspace;
  attention_weights(SoftmaxWeights<double>(), patterns::Full(), p.inputs(), 1, 4, weights, workspace);
  for (Index t = 0; t < queries; ++t) {
    double first = 0;
    for (Index j = 0; j < keys; ++j) first += weights(t, j) * p.v(1, j, 2 * sizes.value_dim);
    CHECK(std::abs(first - full(1, t, 4 * sizes.value_dim)) < 1e-13);
  }
}

TEST_CASE("distance_bias: gradients are finite differences", "[ops]") {
  Problem p;
  const auto dy = random_sequence<double>(2, queries, sizes.heads * sizes.value_dim, 5);
  Sequence<double> maximum(2, queries, sizes.heads), sum = maximum, dq(p.q.shape()), dk(p.k.shape()), dv(p.v.shape());
  const auto y = attended(p, patterns::Causal(), 0, {maximum, sum});
  Workspace workspace;
  attention_scan_backward<SoftmaxWeights<double>, patterns::Causal, double>({}, {}, p.inputs(), {maximum, sum},
                                                                            {y, dy, {}, dq, dk, dv}, workspace);
  const auto loss = [&] {
    const auto found = attended(p, patterns::Causal(), 0);
    double total = 0;
    for (Index i = 0; i < found.size(); ++i) total += dy[i] * found[i];
    return total;
  };
  const auto some = [](const Sequence<double>& values) {
    return GradientCheckOptions{.most_per_tensor = (values.size() + 70) / 71};
  };
  CHECK(testing::difference_error(p.q, dq, loss, some(p.q)) < 1e-8);
  CHECK(testing::difference_error(p.k, dk, loss, some(p.k)) < 1e-8);
  CHECK(testing::difference_error(p.v, dv, loss, some(p.v)) < 1e-8);
}
