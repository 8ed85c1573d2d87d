#include <cmath>
#include <limits>
#include <stepscan/core/random.hpp>
#include <stepscan/scan/prefix.hpp>
#include <stepscan/scan/softmax.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

constexpr Index values = 5;

/// A state that owns its numbers.
struct Owned {
  std::vector<double> memory = std::vector<double>(2 + values, std::nan(""));
  [[nodiscard]] SoftmaxState<double> view() { return {memory.data(), memory.data() + 1, memory.data() + 2}; }
};

constexpr SoftmaxFold<double> fold{values};
constexpr double infinity = std::numeric_limits<double>::infinity();

Owned empty() {
  Owned e;
  fold.identity(e.view());
  return e;
}
Owned key(double logit, Random& random) {
  std::vector<double> v;
  for (Index i = 0; i < values; ++i) v.push_back(random.uniform(-1, 1));
  Owned e;
  fold.lift(logit, v.data(), e.view());
  return e;
}
Owned merged(Owned a, Owned b) {
  Owned out;
  fold.combine(a.view(), b.view(), out.view());
  return out;
}
/// y and then lse.
std::vector<double> result(Owned e) {
  std::vector<double> y(values + 1);
  fold.result(e.view(), y.data());
  y.back() = fold.log_sum(e.view());
  return y;
}
void check_same(const Owned& a, const Owned& b) {
  const auto x = result(a), y = result(b);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] != y[i]) CHECK(std::abs(x[i] - y[i]) <= 1e-13 * (1 + std::abs(y[i])));
  }
}

}  // namespace

TEST_CASE("softmax fold: the laws of a commutative monoid, with empty states", "[scan]") {
  Random random(5);
  const auto any = [&] {
    const auto kind = random.below(4);
    if (kind == 0) return empty();
    if (kind == 1) return key(-infinity, random);
    const double size = kind == 2 ? 3 : 1e4;
    return merged(key(random.uniform(-size, size), random), key(random.uniform(-size, size), random));
  };
  for (int round = 0; round < 200; ++round) {
    const Owned a = any(), b = any(), c = any();
    check_same(merged(merged(a, b), c), merged(a, merged(b, c)));
    check_same(merged(a, b), merged(b, a));
    check_same(merged(a, empty()), a);
    check_same(merged(empty(), a), a);
  }
}

TEST_CASE("softmax fold: nothing and nothing is nothing", "[scan]") {
  for (const double m : {0.0, -infinity, 7.0}) {
    Owned a = empty(), b = empty();
    *a.view().maximum = *b.view().maximum = m;
    const auto y = result(merged(a, b));
    CHECK(y == std::vector<double>{0, 0, 0, 0, 0, -infinity});
  }
}

TEST_CASE("softmax fold: over one of its operands", "[scan]") {
  Random random(6);
  const Owned a = key(2, random), b = key(3, random), expected = merged(a, b);
  for (const bool first : {true, false}) {
    Owned x = a, y = b;
    fold.combine(x.view(), y.view(), first ? x.view() : y.view());
    CHECK((first ? x : y).memory == expected.memory);
  }
}

TEST_CASE("softmax fold: in the executors of prefix scans", "[scan]") {
  Random random(8);
  constexpr Index count = 37, chunk = 5;
  std::vector<Owned> in, sequential(count), parallel(count), scratch(8);
  for (Index i = 0; i < count; ++i) in.push_back(i % 7 == 0 ? empty() : key(random.uniform(-50, 50), random));
  const auto array = [](std::vector<Owned>& from) {
    return [&](Index i) { return from[static_cast<std::size_t>(i)].view(); };
  };
  Owned start;
  auto identity = start.view();
  inclusive_scan(fold, count, array(in), array(sequential), identity);
  inclusive_scan_parallel(fold, count, chunk, array(in), array(parallel), array(scratch));
  for (std::size_t i = 0; i < count; ++i) check_same(parallel[i], sequential[i]);
}
