#include <cmath>
#include <limits>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/multihead_elman.hpp>
#include <stepscan/layers/multihead_gru.hpp>
#include <stepscan/layers/multihead_lstm.hpp>
#include <stepscan/layers/slstm.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

using Sequence = Tensor<double, Dynamic, Dynamic, Dynamic>;

template <class T>
void randomise(T& values, Random& random, double bound) {
  for (auto& value : values) value = random.uniform(-bound, bound);
}

/// A layer with random parameters, a batch of sequences for it, and cotangents of all that comes out.
template <class L>
struct Problem {
  L layer;
  std::vector<Index> lengths;
  Sequence x, dy;
  typename L::State start, dend;

  Problem(const L& source, Index batch, Index time, std::vector<Index> token_counts = {}, bool zero_start = false)
      : layer(source),
        lengths(std::move(token_counts)),
        x(batch, time, layer.input_size()),
        dy(batch, time, layer.output_size()),
        start(layer.initial_state(batch)),
        dend(start) {
    Random random(7);
    for_each_parameter([&](const Path&, auto& tensor) { randomise(tensor, random, 0.7); }, layer);
    randomise(x, random, 1.0);
    randomise(dy, random, 1.0);
    for_each_tensor(
        [&](const Path& path, auto& state, auto& cotangent) {
          randomise(cotangent, random, 1.0);
          if (zero_start) return;
          randomise(state, random, 0.9);
          if (path.name == "n") {
            for (auto& value : state) value = 1.5 + value;
          }
        },
        start, dend);
    for (Index b = 0; b < static_cast<Index>(lengths.size()); ++b) {
      for (Index t = lengths[static_cast<std::size_t>(b)]; t < time; ++t) {
        std::fill_n(SequenceView<double>(x).token(b, t), x.extent(2), std::numeric_limits<double>::quiet_NaN());
        std::fill_n(SequenceView<double>(dy).token(b, t), dy.extent(2), std::numeric_limits<double>::quiet_NaN());
      }
    }
  }

  [[nodiscard]] SequenceView<const double> inputs() const {
    const SequenceView<const double> view(x);
    return lengths.empty() ? view : view.ragged(lengths);
  }

  /// <dy, y> + <dend, final state>
  [[nodiscard]] double loss() const {
    Sequence y(dy.shape());
    auto state = start;
    layer.template scan<Recurrent>(state, inputs(), y);
    double sum = 0;
    for (Index b = 0; b < x.extent(0); ++b) {
      for (Index t = 0; t < inputs().length(b); ++t) {
        for (Index u = 0; u < y.extent(2); ++u) sum += y(b, t, u) * dy(b, t, u);
      }
    }
    for_each_tensor(
        [&](const Path&, const auto& value, const auto& cotangent) {
          for (Index i = 0; i < value.size(); ++i) sum += value[i] * cotangent[i];
        },
        state, dend);
    return sum;
  }

  [[nodiscard]] double slope(double& at) const {
    const double middle = at, step = 1e-5;
    at = middle + step;
    const double above = loss();
    at = middle - step;
    const double below = loss();
    at = middle;
    return (above - below) / (2 * step);
  }
};

template <class L>
struct Result {
  Sequence y, dx;
  typename L::State end, dstart;
  L gradient;

  template <class Form>
  Result(const Problem<L>& problem, const Form& form)
      : y(problem.dy.shape()),
        dx(problem.x.shape()),
        end(problem.start),
        dstart(problem.layer.initial_state(problem.x.extent(0))),
        gradient(zeros_like(problem.layer)) {
    run(problem, form, tape);
  }

  template <class Form>
  void run(const Problem<L>& problem, const Form& form, Tape<L>& on) {
    dx.fill(std::numeric_limits<double>::quiet_NaN());
    end = problem.start;
    problem.layer.forward(end, problem.inputs(), y, on, form);
    problem.layer.backward(on, problem.dy, problem.dend, gradient, dx, dstart);
  }

  Tape<L> tape;
};

/// The largest difference, as a share of the largest magnitude.
struct Distance {
  double difference = 0, size = 1e-3;

  void include(double a, double b) {
    if (std::isnan(a - b)) difference = std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::abs(a - b));
    size = std::max(size, std::abs(b));
  }
  [[nodiscard]] double relative() const { return difference / size; }
};

template <class L>
double distance(const Result<L>& a, const Result<L>& b) {
  double worst = 0;
  const auto compare = [&](const auto& left, const auto& right) {
    Distance distance;
    for (Index i = 0; i < left.size(); ++i) distance.include(left[i], right[i]);
    worst = std::max(worst, distance.relative());
  };
  compare(a.y, b.y);
  compare(a.dx, b.dx);
  for_each_tensor([&](const Path&, const auto& left, const auto& right) { compare(left, right); }, a.dstart, b.dstart);
  for_each_tensor([&](const Path&, const auto& left, const auto& right) { compare(left, right); }, a.end, b.end);
  for_each_parameter([&](const Path&, const auto& left, const auto& right) { compare(left, right); }, a.gradient,
                     b.gradient);
  return worst;
}

/// Everything by finite differences.
template <class L>
void check_slopes(Problem<L> problem) {
  const Result<L> result(problem, Chunked<3>{});
  for_each_parameter(
      [&](const Path& path, auto& parameter, const auto& gradient) {
        Distance distance;
        for (Index i = 0; i < parameter.size(); ++i) distance.include(gradient[i], problem.slope(parameter[i]));
        INFO(path.str());
        CHECK(distance.relative() < 1e-7);
      },
      problem.layer, result.gradient);
  Distance distance;
  for (Index b = 0; b < problem.x.extent(0); ++b) {
    for (Index t = 0; t < problem.x.extent(1); ++t) {
      for (Index i = 0; i < problem.x.extent(2); ++i) {
        const bool real = t < problem.inputs().length(b);
        distance.include(result.dx(b, t, i), real ? problem.slope(problem.x(b, t, i)) : 0.0);
      }
    }
  }
  CHECK(distance.relative() < 1e-7);
  for_each_tensor(
      [&](const Path& path, auto& state, const auto& gradient) {
        if (path.name == "n" && state[0] == 0) return;  // an sLSTM starts afresh at n = 0: no derivative there
        Distance of_state;
        for (Index i = 0; i < state.size(); ++i) of_state.include(gradient[i], problem.slope(state[i]));
        INFO(path.str());
        CHECK(of_state.relative() < 1e-7);
      },
      problem.start, result.dstart);
}

using Recurrences =
    std::tuple<Lstm<double, 3, 5>, Lstm<double, Dynamic, Dynamic>, Gru<double, 3, 6>, Gru<double, 3, 5, Reset::before>,
               Gru<double, 2, 4, Reset::after, ReluActivation>, ElmanRnn<double, 3, 5>,
               ElmanRnn<double, 3, 5, ReluActivation>, MultiheadLstm<double, 3, 2, 3>, MultiheadGru<double, 3, 2, 3>,
               MultiheadElman<double, Dynamic, Dynamic, Dynamic>, Slstm<double, 3, 2, 3>,
               Slstm<double, 3, 2, 3, NormalizerFloor::one>, SlstmOnGates<double, 2, 3>,
               MultiheadGruOnGates<double, 2, 3>>;

struct Sizes {
  Index batch, time, hidden;
};

template <class L>
L make() {
  if constexpr (requires { L(3, 2, 4); }) {
    if constexpr (L::Hidden == Dynamic) return L(3, 2, 4);
  } else if constexpr (L::Hidden == Dynamic) {
    return L(3, 5);
  }
  return L{};
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("gradients of gated recurrences equal finite differences", "[ops][backward]", Recurrences) {
  using L = TestType;
  SECTION("one sequence") { check_slopes(Problem<L>(make<L>(), 1, 7)); }
  SECTION("one token") { check_slopes(Problem<L>(make<L>(), 2, 1)); }
  SECTION("from the zero state") { check_slopes(Problem<L>(make<L>(), 2, 4, {}, true)); }
  SECTION("a ragged batch, NaN in its padding") { check_slopes(Problem<L>(make<L>(), 4, 5, {3, 0, 5, 2})); }
  SECTION("a ragged batch of one") { check_slopes(Problem<L>(make<L>(), 1, 5, {3})); }
}

TEMPLATE_TEST_CASE("sequences of no tokens and batches of no members have a gradient", "[ops][backward]",
                   (Lstm<double, 3, 5>), (Gru<double, 3, 5, Reset::before>), (SlstmOnGates<double, 2, 3>)) {
  using L = TestType;
  const Index batch = GENERATE(0, 2);
  const Problem<L> problem(make<L>(), batch, batch == 0 ? 3 : 0);
  const Result<L> result(problem, OwnForm{});
  for_each_tensor([&](const Path&, const auto& found, const auto& expected) { CHECK(found == expected); },
                  result.dstart, problem.dend);
  for_each_parameter(
      [&](const Path&, const auto& found) {
        for (const double value : found) CHECK(value == 0);
      },
      result.gradient);
}

TEMPLATE_TEST_CASE("the gradient does not depend on the form of the forward pass", "[ops][backward]",
                   (Lstm<double, 3, 5>), (Gru<double, 3, 6>), (Gru<double, 3, 5, Reset::before>),
                   (Slstm<double, 3, 2, 3>)) {
  const Problem<TestType> problem(make<TestType>(), 3, 11, {11, 4, 7});
  const Result<TestType> expected(problem, Recurrent{});
  CHECK(distance(Result<TestType>(problem, Chunked<>{}), expected) < 1e-12);
  CHECK(distance(Result<TestType>(problem, Chunked<1>{}), expected) < 1e-12);
  CHECK(distance(Result<TestType>(problem, Chunked<4>{}), expected) < 1e-12);
  if constexpr (has_form<TestType, Newton<>>) {
    CHECK(distance(Result<TestType>(problem, Newton<Jacobian::full, 4>{}), expected) < 1e-9);
    CHECK(distance(Result<TestType>(problem, Newton<Jacobian::diagonal, 4>{}), expected) < 1e-9);
  }
}

TEST_CASE("a training pass gives the outputs of the scan bit for bit", "[ops][backward]") {
  using L = Gru<double, 3, 5, Reset::before>;
  const Problem<L> problem(L{}, 3, 9, {9, 2, 5});
  const Result<L> result(problem, Chunked<4>{});
  Sequence y(problem.dy.shape());
  auto state = problem.start;
  problem.layer.scan<Chunked<4>>(state, problem.inputs(), y);
  CHECK(result.y == y);
  CHECK(result.end.h == state.h);
}

TEST_CASE("gradients accumulate and a tape serves again", "[ops][backward]") {
  using L = Lstm<double, Dynamic, Dynamic>;
  const Problem<L> first(L(3, 5), 2, 9), second(L(3, 5), 3, 4, {4, 1, 2});
  Result<L> once(second, OwnForm{}), twice(first, OwnForm{});
  twice.gradient = zeros_like(twice.gradient);
  twice.y = once.y;
  twice.dx = once.dx;
  twice.dstart = once.dstart;
  twice.run(second, OwnForm{}, twice.tape);
  CHECK(distance(twice, once) == 0);
  second.layer.backward(twice.tape, second.dy, second.dend, twice.gradient, twice.dx, twice.dstart);
  for_each_parameter(
      [](const Path&, const auto& two, const auto& one) {
        for (Index i = 0; i < one.size(); ++i) CHECK(two[i] == Approx(2 * one[i]).margin(1e-13));
      },
      twice.gradient, once.gradient);
}

TEST_CASE("the cotangent of the final state may be where that of the first goes", "[ops][backward]") {
  using L = Lstm<double, 3, 5>;
  const Problem<L> problem(L{}, 2, 6, {6, 3});
  Result<L> result(problem, OwnForm{});
  const auto expected = result.dstart;
  auto both = problem.dend;
  problem.layer.backward(result.tape, problem.dy, both, result.gradient, result.dx, both);
  CHECK(both.h == expected.h);
  CHECK(both.c == expected.c);
}

TEMPLATE_TEST_CASE("long sequences and wide layers: the gradient along one direction", "[ops][backward]",
                   (Lstm<double, Dynamic, Dynamic>), (Gru<double, Dynamic, Dynamic, Reset::before>)) {
  const Sizes size = GENERATE(Sizes{1, 600, 4}, Sizes{3, 170, 5}, Sizes{300, 3, 4}, Sizes{2, 5, 150});
  Problem<TestType> problem(TestType(3, size.hidden), size.batch, size.time);
  for_each_parameter(
      [&](const Path&, auto& tensor) {
        for (auto& value : tensor) value *= 1.5 / std::sqrt(static_cast<double>(size.hidden));
      },
      problem.layer);
  const Result<TestType> result(problem, OwnForm{});
  const TestType middle = problem.layer;
  Random random(3);
  TestType direction = middle;
  double expected = 0;
  for_each_parameter(
      [&](const Path&, auto& along, auto& gradient) {
        randomise(along, random, 1.0);
        for (Index i = 0; i < along.size(); ++i) expected += along[i] * gradient[i];
      },
      direction, result.gradient);
  const auto loss_at = [&](double step) {
    for_each_parameter(
        [&](const Path&, auto& parameter, const auto& from, const auto& along) {
          for (Index i = 0; i < parameter.size(); ++i) parameter[i] = from[i] + step * along[i];
        },
        problem.layer, middle, direction);
    return problem.loss();
  };
  const double step = 1e-6;
  CHECK((loss_at(step) - loss_at(-step)) / (2 * step) == Approx(expected).epsilon(1e-6));
}

TEST_CASE("the number of threads and the rest of the batch change no bit of a gradient", "[ops][backward]") {
  using L = Lstm<double, Dynamic, Dynamic>;
  const Problem<L> problem(L(3, 70), 5, 12, {12, 3, 7, 0, 12});
  const int before = max_threads();
  set_max_threads(1);
  const Result<L> one(problem, OwnForm{});
  set_max_threads(3);
  const Result<L> three(problem, OwnForm{});
  set_max_threads(before);
  CHECK(distance(three, one) == 0);

  Problem<L> alone(problem.layer, 1, 7);
  std::copy_n(SequenceView<const double>(problem.x).token(2, 0), alone.x.size(), alone.x.data());
  std::copy_n(SequenceView<const double>(problem.dy).token(2, 0), alone.dy.size(), alone.dy.data());
  alone.layer = problem.layer;
  std::copy_n(&problem.start.h(2, 0), 70, alone.start.h.data());
  std::copy_n(&problem.start.c(2, 0), 70, alone.start.c.data());
  std::copy_n(&problem.dend.h(2, 0), 70, alone.dend.h.data());
  std::copy_n(&problem.dend.c(2, 0), 70, alone.dend.c.data());
  const Result<L> single(alone, OwnForm{});
  CHECK(std::equal(single.dx.begin(), single.dx.end(), SequenceView<const double>(one.dx).token(2, 0)));
  CHECK(std::equal(single.dstart.h.begin(), single.dstart.h.end(), &one.dstart.h(2, 0)));
}

TEST_CASE("a tape refuses cotangents of another shape", "[ops][backward]") {
  using L = Lstm<double, Dynamic, Dynamic>;
  const Problem<L> problem(L(3, 5), 2, 6);
  Result<L> result(problem, OwnForm{});
  const auto backward = [&](const Sequence& dy, Sequence& dx, const L::State& dend) {
    problem.layer.backward(result.tape, dy, dend, result.gradient, dx, result.dstart);
  };
  Sequence short_dx(2, 5, 3);
  CHECK_THROWS_AS(backward(Sequence(2, 5, 5), result.dx, problem.dend), ShapeError);
  CHECK_THROWS_AS(backward(Sequence(2, 6, 4), result.dx, problem.dend), ShapeError);
  CHECK_THROWS_AS(backward(problem.dy, short_dx, problem.dend), ShapeError);
  CHECK_THROWS_AS(backward(problem.dy, result.dx, problem.layer.initial_state(3)), ShapeError);
}
