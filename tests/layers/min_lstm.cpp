#include <array>
#include <cmath>
#include <limits>
#include <stepscan/layers/affine_backward.hpp>
#include <stepscan/layers/min_lstm.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

using V = Simd<double>;
using Gates = std::array<double, 3>;

long double logistic(long double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
long double softplus_of(long double x) { return std::max(x, 0.0L) + std::log1p(std::exp(-std::abs(x))); }
long double positive(long double v) { return v >= 0 ? v + 0.5L : logistic(v); }

double first(V x) {
  double lanes[static_cast<std::size_t>(simd_width<double>)];
  store(lanes, x);
  return lanes[0];
}

std::array<V, 3> registers(const Gates& a) { return {V(a[0]), V(a[1]), V(a[2])}; }

/// h' for the state h.
template <class Cell>
double next(const Gates& a, double h) {
  const auto step = Cell::template step<Exact>(registers(a));
  return first(step.decay) * h + first(step.input);
}

/// Slopes of dh * h' by central differences.
template <class Cell>
double slope(Gates a, std::size_t gate, double h) {
  const double step = 1e-5, value = a[gate];
  a[gate] = value + step;
  const double above = next<Cell>(a, h);
  a[gate] = value - step;
  return (above - next<Cell>(a, h)) / (2 * step);
}

template <class Cell>
void check_slopes() {
  for (const Gates& a : {Gates{0.3, 0.2, -0.7}, Gates{-1.5, 3, 2}, Gates{0.1, -8, 1}, Gates{2, 1, -9}}) {
    const double h = -0.8;
    std::array<V, 3> da;
    Cell::pull_back(registers(a), {V(h), V(1.0)}, da);
    for (std::size_t gate = 0; gate < 3; ++gate) CHECK(std::abs(first(da[gate]) - slope<Cell>(a, gate, h)) < 1e-9);
    CHECK(first(Cell::decay(registers(a))) == first(Cell::template step<Exact>(registers(a)).decay));
  }
}

}  // namespace

TEST_CASE("min_lstm: the gates of both variants", "[min_lstm]") {
  for (const double f : {-1000.0, -30.0, -1.0, 0.0, 5.0, 1000.0}) {
    for (const double i : {-1000.0, -30.0, -29.0, 0.5, 5.0, 1000.0}) {
      for (const double v : {-3.0, 0.0, 2.0}) {
        CAPTURE(f, i, v);
        const auto near = [](double found, long double expected) {
          return std::abs(static_cast<long double>(found) - expected) <= 2e-15L * std::abs(expected) + 1e-320L;
        };
        const auto open = MinLstmCell<PositiveCandidate, false>::step<Exact>(registers({v, f, i}));
        CHECK(near(first(open.decay), logistic(f)));
        CHECK(near(first(open.input), logistic(i) * positive(v)));

        const auto shared = MinLstmCell<PositiveCandidate, true>::step<Exact>(registers({v, f, i}));
        const long double d = softplus_of(-static_cast<long double>(f)) - softplus_of(-static_cast<long double>(i));
        CHECK(near(first(shared.decay), logistic(-d)));
        CHECK(near(first(shared.input), logistic(d) * positive(v)));
      }
    }
  }
}

TEST_CASE("min_lstm: normalised gates that both underflow still have shares", "[min_lstm]") {
  const auto step = MinLstmCell<IdentityCandidate, true>::step<Exact>(registers({1, -900, -900}));
  CHECK(first(step.decay) == 0.5);
  CHECK(first(step.input) == 0.5);
  using F = Simd<float>;
  const auto single = MinLstmCell<IdentityCandidate, true>::step<Exact>(std::array<F, 3>{F(1), F(-200), F(-201)});
  float lanes[static_cast<std::size_t>(simd_width<float>)];
  store(lanes, single.decay);
  CHECK(std::abs(static_cast<double>(lanes[0]) - static_cast<double>(logistic(1))) < 1e-7);
}

TEST_CASE("min_lstm: the slopes of both variants and candidates", "[min_lstm]") {
  check_slopes<MinLstmCell<PositiveCandidate, true>>();
  check_slopes<MinLstmCell<PositiveCandidate, false>>();
  check_slopes<MinLstmCell<IdentityCandidate, true>>();
  check_slopes<MinLstmCell<IdentityCandidate, false>>();
}

TEST_CASE("min_lstm: every form agrees with steps, over ragged sequences", "[min_lstm]") {
  const auto check = [](const auto& shape) {
    using L = std::decay_t<decltype(shape)>;
    L layer = shape;
    initialize(layer, 3);
    Random random(4);
    Tensor<double, Dynamic, Dynamic, Dynamic> x(3, 19, layer.input_size()), y(3, 19, layer.output_size()), expected = y;
    for (double& value : x) value = random.uniform(-2, 2);
    for (Index t = 7; t < 19; ++t)
      std::fill_n(&x(1, t, 0), layer.input_size(), std::numeric_limits<double>::quiet_NaN());
    const std::array<Index, 3> lengths{19, 7, 0};
    SequenceView<const double, L::static_inputs> ragged(x);
    ragged.lengths = lengths.data();
    auto state = layer.initial_state(3);
    for (double& value : state.h) value = random.uniform(-1, 1);
    const auto start = state;
    for (Index t = 0; t < 19; ++t) {
      for (Index b = 0; b < 3; ++b) {
        if (t >= lengths[static_cast<std::size_t>(b)]) continue;
        auto row = layer.initial_state(1);
        std::copy_n(&state.h(b, 0), layer.output_size(), row.h.data());
        layer.step(row, ragged.frame(t).middle_rows(b, 1),
                   SequenceView<double, L::static_outputs>(expected).frame(t).middle_rows(b, 1));
        std::copy_n(row.h.data(), layer.output_size(), &state.h(b, 0));
      }
    }
    const auto compare = [&](const auto& runner, auto form, double tolerance) {
      auto end = start;
      y.fill(7);
      runner.scan(end, ragged, y, form);
      double error = 0;
      for (Index i = 0; i < y.size(); ++i) error = std::max(error, std::abs(y[i] - expected[i]));
      for (Index i = 0; i < end.h.size(); ++i) error = std::max(error, std::abs(end.h[i] - state.h[i]));
      CHECK(error <= tolerance);
    };
    compare(layer, Recurrent{}, 0);
    compare(layer, Chunked<4>{}, 1e-14);
    compare(layer, Parallel<4>{}, 1e-14);
    const auto plan = prepare(layer);
    compare(plan, Recurrent{}, 1e-14);
    compare(plan, Chunked<>{}, 1e-14);
    compare(plan, Parallel<>{}, 1e-14);
  };
  check(MinLstm<double, 3, 5>());
  check(MinLstm<double, Dynamic, Dynamic, IdentityCandidate, false>(4, 11));
}
