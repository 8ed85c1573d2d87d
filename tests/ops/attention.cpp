#include <cmath>
#include <limits>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/attention_step.hpp>
#include <stepscan/ops/attention_weights.hpp>
#include <stepscan/ops/key_lists.hpp>
#include <stepscan/scan/softmax.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

using namespace patterns;

struct Problem {
  AttentionSizes n;
  Index queries = 0, keys = 0, position = 0;
  Sequence<double> q, k, v;

  Problem(const AttentionSizes& sizes, Index query_count, Index key_count, double size = 1)
      : n(sizes),
        queries(query_count),
        keys(key_count),
        position(key_count - query_count),
        q(random_sequence<double>(2, queries, n.heads * n.key_dim, 1, size)),
        k(random_sequence<double>(2, keys, n.kv_heads * n.key_dim, 2)),
        v(random_sequence<double>(2, keys, n.kv_heads * n.value_dim, 3)) {}
  [[nodiscard]] AttentionInputs<double> inputs() const { return {n, 0.5, q, k, v, {}, position}; }
};

template <class Pattern>
bool sees(const Pattern& pattern, const AttentionHead& head, Index i, Index j) {
  return (pattern.row(head, i, j) & 1) != 0;
}

/// Softmax over the visible keys, the long way.
template <class Pattern>
Sequence<double> truth(const Problem& p, const Pattern& pattern) {
  const AttentionSizes& n = p.n;
  Sequence<double> y(2, p.queries, n.heads * n.value_dim);
  for (Index b = 0; b < 2; ++b) {
    for (Index h = 0; h < n.heads; ++h) {
      const Index g = h / n.group();
      for (Index t = 0; t < p.queries; ++t) {
        std::vector<double> s(static_cast<std::size_t>(p.keys), -std::numeric_limits<double>::infinity());
        double most = s.empty() ? 0 : s[0], sum = 0;
        for (Index j = 0; j < p.keys; ++j) {
          if (!sees(pattern, {b, h, g}, p.position + t, j)) continue;
          double& own = s[static_cast<std::size_t>(j)] = 0;
          for (Index d = 0; d < n.key_dim; ++d)
            own += 0.5 * p.q(b, t, h * n.key_dim + d) * p.k(b, j, g * n.key_dim + d);
          most = std::max(most, own);
        }
        if (std::isinf(most)) continue;
        for (double& own : s) sum += own = std::exp(own - most);
        for (Index j = 0; j < p.keys; ++j) {
          for (Index i = 0; i < n.value_dim; ++i) {
            y(b, t, h * n.value_dim + i) += s[static_cast<std::size_t>(j)] / sum * p.v(b, j, g * n.value_dim + i);
          }
        }
      }
    }
  }
  return y;
}

template <class Pattern>
Sequence<double> attended(const Problem& p, const Pattern& pattern, Index chunk = 0) {
  Sequence<double> y(2, p.queries, p.n.heads * p.n.value_dim);
  Workspace workspace;
  attention_scan<SoftmaxWeights<double>, Pattern, double>({}, pattern, p.inputs(), y, {chunk, false}, workspace);
  return y;
}

/// Every pattern of a few, on the given sizes.
template <class F>
void for_each_pattern(Index keys, F&& f) {
  f("full", Full());
  f("causal", Causal());
  f("window", And(Causal(), Window<>(7)));
  f("window on both sides", Window<3>());
  f("sinks and window", And(Causal(), Or(Window<>(9), Sinks<2>())));
  f("sinks, window, last queries", And(Causal(), Or(Window<>(9), Sinks<2>(), LastQueries{keys - 5})));
  f("dilated", And(Causal(), Window<>(15), Dilation{5}));
  f("strided", And(Causal(), Blocks<Strided>{4, {2, 3, 1, 0, 1}}));
  static std::vector<std::uint8_t> layout;
  const Index blocks = (keys + 4) / 5;
  layout.assign(static_cast<std::size_t>(2 * blocks * blocks), 0);
  Random random(4);
  for (auto& chosen : layout) chosen = random.below(3) == 0;
  f("blocks", And(Causal(), Blocks<Layout>{5, {layout, 2, blocks, blocks}}));
  static const std::vector<Index> columns{1, 7, 30, 2, 3, 70}, distances{0, 5, 64, 1, 2, 17};
  f("vertical and slash", And(Causal(), Or(Columns{{columns, 2, 3}}, Slashes{{distances, 2, 3}})));
}

}  // namespace

TEST_CASE("attention: every pattern is the softmax of the keys it shows", "[ops]") {
  for (const AttentionSizes n : {AttentionSizes{2, 2, 5, 3}, {2, 1, 8, 17}}) {
    for (const auto& counts : {std::pair<Index, Index>{1, 1}, {70, 70}, {50, 131}, {3, 200}}) {
      const Index queries = counts.first, keys = counts.second;
      const Problem p(n, queries, keys);
      for_each_pattern(keys, [&](const char* name, const auto& pattern) {
        const auto expected = truth(p, pattern);
        for (const Index chunk : {0, 1, 5, 64}) {
          CAPTURE(name, n.key_dim, queries, keys, chunk);
          CHECK(distance(attended(p, pattern, chunk), expected) < 1e-13);
        }
      });
    }
  }
}

TEST_CASE("attention: what a pattern says of blocks is what it says of pairs", "[ops]") {
  for_each_pattern(90, [&](const char* name, const auto& pattern) {
    Random random(9);
    for (int round = 0; round < 300; ++round) {
      const AttentionHead head{0, static_cast<Index>(random.below(2)), 0};
      const TokenRange i{static_cast<Index>(random.below(80)), 0}, j{static_cast<Index>(random.below(80)), 0};
      const TokenRange queries{i.begin, i.begin + 1 + static_cast<Index>(random.below(10))};
      const TokenRange keys{j.begin, j.begin + 1 + static_cast<Index>(random.below(10))};
      Index seen = 0;
      bool inside = true;
      const TokenRange hull = pattern.hull(head, queries);
      for (Index q = queries.begin; q < queries.end; ++q) {
        for (Index k = keys.begin; k < keys.end; ++k) {
          const bool own = sees(pattern, head, q, k);
          seen += own ? 1 : 0;
          inside = inside && (!own || (hull.begin <= k && k < hull.end));
        }
      }
      const Visibility look = pattern.look(head, queries, keys);
      CAPTURE(name, queries.begin, queries.end, keys.begin, keys.end);
      CHECK(inside);
      if (look == Visibility::none) CHECK(seen == 0);
      if (look == Visibility::full) CHECK(seen == queries.size() * keys.size());
    }
  });
}

TEST_CASE("attention: logits of 1e4 and a query that sees nothing", "[ops]") {
  const Problem p({2, 2, 5, 3}, 70, 70, 2e4);
  CHECK(distance(attended(p, Causal()), truth(p, Causal())) < 1e-10);
  const auto y = attended(p, LastQueries{60});
  for (Index t = 0; t < 60; ++t) CHECK(y(0, t, 0) == 0);
}

TEST_CASE("attention: weights on request are those of the values", "[ops]") {
  const Problem p({2, 1, 5, 3}, 20, 130);
  const And pattern(Causal(), Or(Window<>(9), Sinks<2>()));
  const auto y = attended(p, pattern);
  Workspace workspace;
  std::vector<double> memory(20 * 130);
  const MatrixView<double> weights(memory.data(), 20, 130);
  for (Index h = 0; h < 2; ++h) {
    attention_weights(SoftmaxWeights<double>(), pattern, p.inputs(), 1, h, weights, workspace);
    for (Index t = 0; t < 20; ++t) {
      double sum = 0, first = 0;
      for (Index j = 0; j < 130; ++j) {
        sum += weights(t, j);
        first += weights(t, j) * p.v(1, j, 0);
      }
      CHECK(std::abs(sum - 1) < 1e-13);
      CHECK(std::abs(first - y(1, t, h * 3)) < 1e-13);
    }
  }
}

TEST_CASE("attention: one query after another by attention_step", "[ops]") {
  const AttentionSizes n{4, 2, 5, 3};
  const Problem p(n, 150, 150);
  const auto expected = attended(p, Causal());
  Sequence<double> y(expected.shape());
  std::vector<double> scratch(static_cast<std::size_t>(stepscan::detail::attention_step_size(n)));
  for (Index b = 0; b < 2; ++b) {
    for (Index t = 0; t < 150; ++t) {
      attention_step<SoftmaxWeights<double>, double>({}, p.inputs(), &p.q(b, t, 0), &p.k(b, 0, 0), &p.v(b, 0, 0), t + 1,
                                                     &y(b, t, 0), scratch.data());
    }
  }
  CHECK(distance(y, expected) < 1e-14);
}

TEST_CASE("attention: split at any key, partial results merge to the whole", "[ops]") {
  const AttentionSizes n{2, 1, 5, 3};
  const Problem p(n, 1, 70, 30);
  const SoftmaxFold<double> fold{n.value_dim};
  std::vector<double> scratch(static_cast<std::size_t>(stepscan::detail::attention_step_size(n)));
  /// m, u and w of both heads, of the keys [begin, end).
  const auto part = [&](Index begin, Index end) {
    std::vector<double> m(2), u(2), y(6), state;
    attention_step<SoftmaxWeights<double>, double>({}, p.inputs(), p.q.data(), p.k.data() + begin * n.key_dim,
                                                   p.v.data() + begin * n.value_dim, end - begin, y.data(),
                                                   scratch.data(), m.data(), u.data());
    for (std::size_t h = 0; h < 2; ++h) {
      state.insert(state.end(), {m[h] * SoftmaxWeights<double>::ln_2, u[h]});
      for (std::size_t i = 0; i < 3; ++i) state.push_back(y[3 * h + i] * u[h]);
    }
    return state;
  };
  const auto whole = attended(p, Full());
  for (Index at = 0; at <= 70; ++at) {
    std::vector<double> a = part(0, at), b = part(at, 70), y(6);
    for (std::size_t h = 0; h < 2; ++h) {
      double *const left = a.data() + 5 * h, *const right = b.data() + 5 * h;
      const SoftmaxState<double> from{left, left + 1, left + 2};
      fold.combine(from, {right, right + 1, right + 2}, from);
      fold.result(from, y.data() + 3 * h);
    }
    CHECK(distance(y, std::span(whole.data(), 6)) < 1e-13);
  }
}

namespace {

/// Gradients of <dy, y> + <dlse, lse> against central differences of some of the inputs' numbers.
template <class Fold, class Pattern>
double gradient_error(Problem& p, const Fold& fold, const Pattern& pattern, const AttentionStart<double>& start = {}) {
  const AttentionSizes& n = p.n;
  const auto dy = random_sequence<double>(2, p.queries, n.heads * n.value_dim, 5);
  auto dlse = random_sequence<double>(2, p.queries, n.heads, 6);
  if (!Fold::shifts) dlse.fill(0);
  Sequence<double> y(dy.shape()), maximum(dlse.shape()), sum(dlse.shape()), lse(dlse.shape());
  Workspace workspace;
  const auto inputs = [&] {
    auto in = p.inputs();
    in.start = start;
    return in;
  };
  const auto loss = [&] {
    attention_scan<Fold, Pattern, double>(fold, pattern, inputs(), y, {}, workspace, {maximum, sum});
    double total = 0;
    for (Index i = 0; i < y.size(); ++i) total += dy[i] * y[i];
    if constexpr (Fold::shifts) {
      attention_log_sums<double>({maximum, sum}, lse);
      for (Index i = 0; i < lse.size(); ++i) total += std::isinf(lse[i]) ? 0 : dlse[i] * lse[i];
    }
    return total;
  };
  static_cast<void>(loss());
  Sequence<double> dq(p.q.shape()), dk(p.k.shape()), dv(p.v.shape());
  for (auto* d : {&dq, &dk, &dv}) d->fill(std::nan(""));
  attention_scan_backward<Fold, Pattern, double>(fold, pattern, inputs(), {maximum, sum}, {y, dy, dlse, dq, dk, dv},
                                                 workspace);
  return std::max({testing::difference_error(p.q, dq, loss), testing::difference_error(p.k, dk, loss),
                   testing::difference_error(p.v, dv, loss)});
}

}  // namespace

TEST_CASE("attention: gradients are finite differences, whatever the pattern and the fold", "[ops]") {
  for (const AttentionSizes n : {AttentionSizes{2, 2, 5, 3}, {2, 1, 4, 9}}) {
    Problem p(n, 11, 70), square(n, 60, 60);
    for_each_pattern(70, [&](const char* name, const auto& pattern) {
      CAPTURE(name, n.key_dim);
      CHECK(gradient_error(p, SoftmaxWeights<double>(), pattern) < 1e-8);
    });
    CHECK(gradient_error(square, SoftmaxWeights<double>(), Causal()) < 1e-8);
    CHECK(gradient_error(p, SimilarityWeights<double, Similarity::sigmoid, true>{0.3}, Causal()) < 1e-8);
    CHECK(gradient_error(p, SimilarityWeights<double, Similarity::sigmoid, false>{-1}, Causal()) < 1e-8);
    CHECK(gradient_error(p, SimilarityWeights<double, Similarity::elu, true>(), Causal()) < 1e-7);
  }
}
