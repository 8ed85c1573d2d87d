#include <cmath>
#include <stepscan/layers/pointer_attention_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

constexpr Index batch = 2, items = 5, queries = 3, memory_features = 4, query_features = 3;

/// One problem; the second query of the first member may point at nothing.
struct Problem {
  PointerAttention<double> layer{memory_features, query_features, 6};
  Sequence<double> e = random_sequence<double>(batch, items, memory_features, 1);
  Sequence<double> d = random_sequence<double>(batch, queries, query_features, 2);
  std::vector<std::uint8_t> allowed = std::vector<std::uint8_t>(batch * queries * items, 1);
  Sequence<double> log_probs{batch, queries, items}, probs = log_probs, context{batch, queries, memory_features};
  std::vector<Index> choice = std::vector<Index>(batch * queries);
  Workspace workspace;

  explicit Problem(double clip) {
    testing::randomize(layer, 3, -1, 1);
    layer.logit_clip = clip;
    std::fill_n(allowed.begin() + items, items, std::uint8_t{0});
    allowed[0] = allowed[items * 4] = 0;
  }
  [[nodiscard]] PointerMask mask() const { return {allowed.data(), queries, items}; }
  void point() {
    const auto projected = layer.remember(std::as_const(e));
    layer.point(projected, std::as_const(e), std::as_const(d), mask(), {log_probs, probs, context, choice.data()},
                workspace);
  }
};

}  // namespace

TEST_CASE("pointer_attention: a query that may point at nothing gives nothing", "[layers]") {
  Problem p(0);
  p.point();
  CHECK(p.choice[1] == -1);
  for (Index j = 0; j < items; ++j) {
    CHECK(p.probs(0, 1, j) == 0);
    CHECK(p.log_probs(0, 1, j) == 0);
  }
  for (Index f = 0; f < memory_features; ++f) CHECK(p.context(0, 1, f) == 0);
  double sum = 0;
  for (Index j = 0; j < items; ++j) sum += p.probs(0, 0, j);
  CHECK(std::abs(sum - 1) < 1e-14);
  CHECK(p.probs(0, 0, 0) == 0);
}

TEST_CASE("pointer_attention: context and choice are worked out where asked for", "[layers]") {
  Problem p(0);
  p.point();
  const Sequence<double> probs = p.probs;
  p.probs.fill(0);
  p.layer.point(p.layer.remember(std::as_const(p.e)), std::as_const(p.e), std::as_const(p.d), p.mask(),
                {p.log_probs, p.probs, {}, nullptr}, p.workspace);
  CHECK(distance(p.probs, probs) == 0);
}

TEST_CASE("pointer_attention: gradients are finite differences, clipped or not", "[layers]") {
  for (const double clip : {0.0, 1.5}) {
    Problem p(clip);
    const auto dlog = random_sequence<double>(batch, queries, items, 5),
               dprobs = random_sequence<double>(batch, queries, items, 6);
    const auto dcontext = random_sequence<double>(batch, queries, memory_features, 7);
    const auto loss = [&] {
      p.point();
      double total = 0;
      for (Index i = 0; i < dlog.size(); ++i) total += dlog[i] * p.log_probs[i] + dprobs[i] * p.probs[i];
      for (Index i = 0; i < dcontext.size(); ++i) total += dcontext[i] * p.context[i];
      return total;
    };
    static_cast<void>(loss());
    PointerAttention<double> gradient = zeros_like(p.layer);
    Sequence<double> de(p.e.shape()), dd(p.d.shape());
    const Sequence<double> log_probs = p.log_probs, probs = p.probs, context = p.context;
    pointer_backward<double>(p.layer, p.layer.remember(std::as_const(p.e)), std::as_const(p.e), std::as_const(p.d),
                             p.mask(), {log_probs, probs, context, dlog, dprobs, dcontext, {}, {}, {}, nullptr},
                             gradient, de, dd, p.workspace);
    double error = 0;
    const auto compare = [&](auto& values, const auto& found) {
      for (Index i = 0; i < values.size(); ++i) {
        constexpr double h = 1e-5;
        const double before = values[i];
        values[i] = before + h;
        const double above = loss();
        values[i] = before - h;
        error = std::max(error, std::abs((above - loss()) / (2 * h) - found[i]));
        values[i] = before;
      }
    };
    compare(p.e, de);
    compare(p.d, dd);
    compare(p.layer.w1, gradient.w1);
    compare(p.layer.w2, gradient.w2);
    compare(p.layer.v, gradient.v);
    CHECK(error < 1e-8);
  }
}

TEST_CASE("pointer_attention: sizes that do not fit are refused", "[layers]") {
  Problem p(0);
  const Sequence<double> wide(batch, items, memory_features + 1);
  CHECK_THROWS_AS(p.layer.remember(wide), ShapeError);
}
