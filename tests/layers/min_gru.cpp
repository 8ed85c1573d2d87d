#include <algorithm>
#include <cmath>
#include <stepscan/layers/affine_backward.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

template <class S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

long double logistic(long double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

/// The paper's equations in long double: the largest relative error of y, every value of which must be finite.
template <class L, class S>
double error_of(const L& layer, bool positive, const Tensor<S, Dynamic, Dynamic>& start, const Sequence<S>& x,
                const Sequence<S>& y) {
  const Index hidden = layer.output_size();
  long double largest = 1e-30L, error = 0;
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index u = 0; u < hidden; ++u) {
      long double h = static_cast<long double>(start(b, u));
      for (Index t = 0; t < x.extent(1); ++t) {
        long double v = static_cast<long double>(layer.bias[u]), a = static_cast<long double>(layer.bias[hidden + u]);
        for (Index i = 0; i < x.extent(2); ++i) {
          v += static_cast<long double>(layer.weight(u, i)) * static_cast<long double>(x(b, t, i));
          a += static_cast<long double>(layer.weight(hidden + u, i)) * static_cast<long double>(x(b, t, i));
        }
        const long double candidate = !positive ? v : v >= 0 ? v + 0.5L : logistic(v);
        h = logistic(-a) * h + logistic(a) * candidate;
        const long double found = static_cast<long double>(y(b, t, u));
        if (!std::isfinite(found)) return INFINITY;
        largest = std::max(largest, std::abs(h));
        error = std::max(error, std::abs(h - found));
      }
    }
  }
  return static_cast<double>(error / largest);
}

template <class L>
struct Case {
  using S = typename L::scalar_type;
  L layer;
  Sequence<S> x, y;
  typename L::State start;

  Case(const L& shape, Index batch, Index time, double strength)
      : layer(shape),
        x(batch, time, shape.input_size()),
        y(batch, time, shape.output_size()),
        start(shape.initial_state(batch)) {
    Random random(11);
    initialize(layer, 5);
    for (S& value : layer.bias) value = static_cast<S>(random.uniform(-1, 1));
    for (S& value : x) value = static_cast<S>(strength * random.uniform(-1, 1));
    for (S& value : start.h) value = static_cast<S>(random.uniform(-1, 1));
  }

  template <class Runner, class Form>
  double error(const Runner& runner, const Form& form, bool positive) {
    auto state = start;
    y.fill(std::numeric_limits<S>::quiet_NaN());
    runner.template scan<Form>(state, x, y, form);
    Tensor<S, Dynamic, Dynamic> from(x.extent(0), layer.output_size());
    std::copy(start.h.begin(), start.h.end(), from.begin());
    double worst = error_of(layer, positive, from, x, y);
    for (Index b = 0; b < x.extent(0) && x.extent(1) > 0; ++b) {
      for (Index u = 0; u < layer.output_size(); ++u) {
        if (state.h(b, u) != y(b, x.extent(1) - 1, u)) worst = INFINITY;
      }
    }
    return worst;
  }
};

template <class L>
void check_forms(const L& shape, bool positive, double tolerance) {
  for (const Index time : {1, 3, 4, 5, 17, 130}) {
    Case<L> c(shape, 2, time, 1);
    CAPTURE(time, c.layer.output_size());
    const auto plan = prepare(c.layer);
    CHECK(c.error(c.layer, Recurrent{}, positive) < tolerance);
    CHECK(c.error(c.layer, Chunked<4>{}, positive) < tolerance);
    CHECK(c.error(c.layer, Parallel<4>{}, positive) < tolerance);
    CHECK(c.error(c.layer, Chunked<>{}, positive) < tolerance);
    CHECK(c.error(c.layer, Parallel<>{}, positive) < tolerance);
    CHECK(c.error(plan, Recurrent{}, positive) < tolerance);
    CHECK(c.error(plan, Chunked<4>{}, positive) < tolerance);
    CHECK(c.error(plan, Parallel<4>{}, positive) < tolerance);
  }
}

}  // namespace

TEST_CASE("min_gru: every form computes the paper's equations", "[min_gru]") {
  check_forms(MinGru<double, 3, 5>(), true, 1e-14);
  check_forms(MinGru<double, Dynamic, Dynamic, IdentityCandidate>(4, 21), false, 1e-14);
  check_forms(MinGru<float, 3, 8, IdentityCandidate>(), false, 1e-6);
  check_forms(MinGru<float, Dynamic, Dynamic>(2, 13), true, 1e-6);
}

TEST_CASE("min_gru: strong decay over a long sequence, in float", "[min_gru]") {
  // Log decays of about -13 a token: their sum over the sequence is far below what any float can hold as a product.
  Case<MinGru<float, 4, 9>> c({}, 2, 257, 20);
  for (Index u = 9; u < 18; ++u) c.layer.bias[u] = 13;
  CHECK(c.error(c.layer, Recurrent{}, true) < 2e-6);
  CHECK(c.error(c.layer, Chunked<16>{}, true) < 2e-6);
  CHECK(c.error(c.layer, Parallel<16>{}, true) < 2e-6);

  SECTION("and gates that hardly open") {
    for (Index u = 9; u < 18; ++u) c.layer.bias[u] = -60;
    CHECK(c.error(c.layer, Chunked<16>{}, true) < 2e-6);
    CHECK(c.error(c.layer, Parallel<16>{}, true) < 2e-6);
  }
}

TEST_CASE("min_gru: gates and candidates from -1000 to 1000 and their slopes", "[min_gru]") {
  using Cell = MinGruCell<PositiveCandidate>;
  using V = Simd<double>;
  for (const double a : {-1000.0, -708.0, -40.0, -1e-9, 0.0, 3.0, 40.0, 745.0, 1000.0}) {
    for (const double v : {-1000.0, -30.0, -0.5, 0.0, 2.0, 1000.0}) {
      CAPTURE(a, v);
      const auto step = Cell::step<Exact>(std::array<V, 2>{V(v), V(a)});
      double decay[static_cast<std::size_t>(simd_width<double>)], input[static_cast<std::size_t>(simd_width<double>)];
      store(decay, step.decay);
      store(input, step.input);
      const long double g = v >= 0 ? v + 0.5L : logistic(v);
      const auto near = [](double found, long double expected) {
        return std::abs(static_cast<long double>(found) - expected) <= 1e-15L * std::abs(expected) + 1e-320L;
      };
      CHECK(near(decay[0], logistic(-static_cast<long double>(a))));
      CHECK(near(input[0], logistic(a) * g));
      std::array<V, 2> da;
      Cell::pull_back(std::array<V, 2>{V(v), V(a)}, {V(0.5), V(2.0)}, da);
      store(decay, da[0]);
      store(input, da[1]);
      CHECK(near(decay[0], 2 * logistic(a) * (v >= 0 ? 1 : logistic(v) * logistic(-static_cast<long double>(v)))));
      CHECK(near(input[0], (2 * g - 0.5L) * logistic(a) * logistic(-static_cast<long double>(a))));
    }
  }
}

TEST_CASE("min_gru: gradients do not depend on the number of threads", "[min_gru]") {
  using L = MinGru<float, 20, 33>;
  Case<L> c({}, 3, 60, 1);
  const int before = max_threads();
  const auto gradient = [&](auto form, int threads, Sequence<float>& dx) {
    set_max_threads(threads);
    Tape<L> tape;
    L sum = zeros_like(c.layer);
    auto state = c.start, dstate = c.start;
    c.layer.forward(state, c.x, c.y, tape, form);
    c.layer.backward(tape, c.y, c.start, sum, dx, dstate);
    return std::pair{sum, dstate.h};
  };
  const auto check = [&](auto form) {
    Sequence<float> one = c.x, two = c.x;
    const auto [sum, start] = gradient(form, 1, one);
    const auto [sum2, start2] = gradient(form, 2, two);
    CHECK(sum.weight == sum2.weight);
    CHECK(sum.bias == sum2.bias);
    CHECK(start == start2);
    CHECK(one == two);
  };
  check(Chunked<8>{});
  check(Parallel<8>{});
  set_max_threads(before);
}

TEST_CASE("min_gru: gradients against finite differences, in every form", "[min_gru]") {
  using L = MinGru<double, 3, 5>;
  Case<L> c({}, 2, 6, 1);
  Sequence<double> dy(2, 6, 5), dx(2, 6, 3);
  auto dend = c.start, dstart = c.start;
  Random random(3);
  for (double& value : dy) value = random.uniform(-1, 1);
  for (double& value : dend.h) value = random.uniform(-1, 1);
  const auto loss = [&] {
    auto state = c.start;
    c.layer.scan<Recurrent>(state, c.x, c.y);
    double sum = 0;
    for (Index i = 0; i < dy.size(); ++i) sum += dy[i] * c.y[i];
    for (Index i = 0; i < dend.h.size(); ++i) sum += dend.h[i] * state.h[i];
    return sum;
  };
  const auto check = [&](auto form) {
    Tape<L> tape;
    L sum = zeros_like(c.layer);
    auto state = c.start;
    c.layer.forward(state, c.x, c.y, tape, form);
    c.layer.backward(tape, dy, dend, sum, dx, dstart);
    const auto compare = [&](auto& values, const auto& gradient) {
      for (Index i = 0; i < values.size(); ++i) {
        const double value = values[i], step = 1e-5;
        values[i] = value + step;
        const double above = loss();
        values[i] = value - step;
        const double slope = (above - loss()) / (2 * step);
        values[i] = value;
        REQUIRE(std::abs(slope - gradient[i]) < 1e-8);
      }
    };
    compare(c.layer.weight, sum.weight);
    compare(c.layer.bias, sum.bias);
    compare(c.x, dx);
    compare(c.start.h, dstart.h);
  };
  check(Recurrent{});
  check(Chunked<4>{});
  check(Parallel<4>{});
}
