#include <cmath>
#include <stepscan/ops/rotary.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::random_sequence;
using testing::Sequence;

namespace {

template <class S>
Sequence<S> turned(const RotaryHeads& n, const RotarySettings& settings, const Sequence<S>& x, std::int64_t position,
                   bool back = false) {
  std::vector<double> half_turns;
  for (Index i = 0; i < n.dim / 2; ++i) half_turns.push_back(rotary_half_turns(settings, i, n.dim));
  Sequence<S> y(x.shape());
  const std::vector<std::int64_t> positions(static_cast<std::size_t>(x.extent(0)), position);
  Workspace workspace;
  rotate_tokens<S>(n, half_turns.data(), positions.data(), back, x, y, workspace);
  return y;
}

/// By the equations, in long double.
Sequence<double> truth(const RotaryHeads& n, const RotarySettings& settings, const Sequence<double>& x,
                       std::int64_t position) {
  Sequence<double> y = x;
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = 0; t < x.extent(1); ++t) {
      for (Index h = 0; h < n.heads; ++h) {
        for (Index i = 0; i < n.dim / 2; ++i) {
          const bool halves = n.pairs == RotaryPairs::halves;
          const Index first = h * n.head_dim + (halves ? i : 2 * i), second = first + (halves ? n.dim / 2 : 1);
          const long double theta =
              std::pow(static_cast<long double>(settings.base), -2.0L * static_cast<long double>(i) / n.dim) /
              static_cast<long double>(settings.interpolation);
          const long double angle = static_cast<long double>(position + t) * theta;
          const long double a = x(b, t, first), c = x(b, t, second);
          y(b, t, first) = static_cast<double>(a * std::cos(angle) - c * std::sin(angle));
          y(b, t, second) = static_cast<double>(c * std::cos(angle) + a * std::sin(angle));
        }
      }
    }
  }
  return y;
}

template <class S>
Sequence<S> cast(const Sequence<double>& x) {
  Sequence<S> y(x.shape());
  for (Index i = 0; i < x.size(); ++i) y[i] = static_cast<S>(x[i]);
  return y;
}

}  // namespace

TEST_CASE("rotary: pairs turn as the equations say, near and far", "[ops]") {
  for (const RotaryPairs pairs : {RotaryPairs::halves, RotaryPairs::interleaved}) {
    for (const Index dim : {Index{22}, Index{8}}) {
      const RotaryHeads n{3, 22, dim, pairs};
      const auto x = random_sequence<double>(2, 5, 3 * 22 + 7, 1);
      for (const RotarySettings settings : {RotarySettings{}, RotarySettings{.base = 5e5, .interpolation = 4}}) {
        for (const std::int64_t position : {0, 1, 1000, 1000003, 1 << 30}) {
          CAPTURE(dim, position, settings.base);
          const double reach = 1 + static_cast<double>(position);
          const auto expected = truth(n, settings, x, position);
          CHECK(distance(turned(n, settings, x, position), expected) < 1e-15 + 1e-16 * reach);
          CHECK(distance(turned(n, settings, cast<float>(x), position), expected) < 3e-7);
        }
      }
    }
  }
}

TEST_CASE("rotary: products depend on how far two tokens are apart, and turning back undoes it", "[ops]") {
  const RotaryHeads n{1, 32, 32, RotaryPairs::halves};
  const auto q = random_sequence<double>(1, 1, 32, 1), k = random_sequence<double>(1, 1, 32, 2);
  const auto product = [&](std::int64_t from, std::int64_t to) {
    const auto a = turned(n, {}, q, from), b = turned(n, {}, k, to);
    double sum = 0;
    for (Index i = 0; i < 32; ++i) sum += a[i] * b[i];
    return sum;
  };
  CHECK(std::abs(product(1000017, 1000000) - product(17, 0)) < 1e-9);
  CHECK(std::abs(product(18, 0) - product(17, 0)) > 1e-3);
  CHECK(distance(turned(n, {}, turned(n, {}, q, 1000017), 1000017, true), q) < 1e-14);
}
