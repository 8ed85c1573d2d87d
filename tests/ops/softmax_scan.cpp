#include <cmath>
#include <limits>
#include <stepscan/ops/softmax_scan_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

constexpr Index heads = 2, value_dim = 3;

struct Outputs {
  Sequence<double> y, lse;
  std::vector<double> state = std::vector<double>(heads * (2 + value_dim));
  [[nodiscard]] SoftmaxState<double> view() { return {&state[0], &state[heads], &state[2 * heads]}; }
};

/// From the empty state.
Outputs scanned(const Sequence<double>& logits, const Sequence<double>& v, const ScanSchedule& schedule) {
  Outputs out{Sequence<double>(v.shape()), Sequence<double>(logits.shape())};
  Workspace workspace;
  softmax_scan<double>({heads, value_dim, logits, v}, out.view(), out.y, out.lse, schedule, workspace);
  return out;
}

/// Softmax of all keys up to each one, the long way.
Sequence<double> truth(const Sequence<double>& logits, const Sequence<double>& v) {
  Sequence<double> y(v.shape());
  for (Index t = 0; t < v.extent(1); ++t) {
    for (Index h = 0; h < heads; ++h) {
      double most = -std::numeric_limits<double>::infinity(), sum = 0;
      for (Index j = 0; j <= t; ++j) most = std::max(most, logits(0, j, h));
      if (std::isinf(most)) continue;
      for (Index j = 0; j <= t; ++j) sum += std::exp(logits(0, j, h) - most);
      for (Index j = 0; j <= t; ++j) {
        const double p = std::exp(logits(0, j, h) - most) / sum;
        for (Index i = 0; i < value_dim; ++i) y(0, t, h * value_dim + i) += p * v(0, j, h * value_dim + i);
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("softmax scan: every schedule is the softmax of the keys so far", "[ops]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const Index time : {1, 7, 64, 65, 150}) {
    for (const double size : {1.0, 1e4}) {
      auto logits = random_sequence<double>(1, time, heads, 1, size);
      for (Index t = 0; t < std::min<Index>(time, 4); ++t) logits(0, t, 0) = -infinity;
      const auto v = random_sequence<double>(1, time, heads * value_dim, 2);
      const auto expected = truth(logits, v);
      for (const ScanSchedule schedule : {ScanSchedule{}, {1, false}, {16, false}, {1, true}, {16, true}, {0, true}}) {
        CAPTURE(time, size, schedule.chunk, schedule.parallel);
        CHECK(distance(scanned(logits, v, schedule).y, expected) < 1e-12);
      }
    }
  }
}

TEST_CASE("softmax scan: a shift of all logits changes nothing but lse", "[ops]") {
  auto logits = random_sequence<double>(1, 90, heads, 1);
  const auto v = random_sequence<double>(1, 90, heads * value_dim, 2);
  const Outputs before = scanned(logits, v, {});
  for (double& s : logits) s += 1000;
  Outputs after = scanned(logits, v, {});
  for (double& lse : after.lse) lse -= 1000;
  CHECK(distance(after.y, before.y) < 1e-11);
  CHECK(distance(after.lse, before.lse) < 1e-11);
}

TEST_CASE("softmax scan: gradients are zero and finite where nothing is seen", "[ops]") {
  constexpr Index time = 5;
  auto logits = random_sequence<double>(1, time, heads, 1);
  logits.fill(-std::numeric_limits<double>::infinity());
  const auto v = random_sequence<double>(1, time, heads * value_dim, 2), dy = v;
  const auto dlse = random_sequence<double>(1, time, heads, 3);
  Outputs out = scanned(logits, v, {}), dstate = out, start = out;
  CHECK(distance(out.y, Sequence<double>(v.shape())) == 0);
  for (const bool parallel : {false, true}) {
    Sequence<double> dlogits(logits.shape()), dv(v.shape());
    Workspace workspace;
    std::fill(dstate.state.begin(), dstate.state.end(), 0.0);
    softmax_scan_backward<double>({heads, value_dim, logits, v}, start.view(), {out.y, out.lse, dy, dlse, dlogits, dv},
                                  dstate.view(), {2, parallel}, workspace);
    CHECK(distance(dlogits, Sequence<double>(logits.shape())) == 0);
    CHECK(distance(dv, Sequence<double>(v.shape())) == 0);
    CHECK(distance(dstate.state, std::vector<double>(dstate.state.size())) == 0);
  }
}
