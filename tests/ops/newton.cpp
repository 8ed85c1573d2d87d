#include <cmath>
#include <limits>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <support/catch.hpp>
#include <vector>

using namespace stepscan;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A batch of sequences, all that a scan in some form makes of it, and how Newton's iteration ended.
template <class L>
struct Problem {
  using S = typename L::scalar_type;
  using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;
  struct Outcome {
    Sequence y;
    typename L::State end;
    NewtonReport report;
  };

  L layer;
  Sequence x;
  typename L::State start;
  std::vector<Index> lengths;

  Problem(const L& source, Index batch, Index time, double strength = 0.6)
      : layer(source), x(batch, time, layer.input_size()), start(layer.initial_state(batch)) {
    Random random(11);
    const auto randomise = [&](auto& values, double bound) {
      for (S& value : values) value = static_cast<S>(random.uniform(-bound, bound));
    };
    for_each_parameter([&](const Path&, auto& tensor) { randomise(tensor, strength); }, layer);
    randomise(x, 1.0);
    for_each_tensor([&](const Path&, auto& tensor) { randomise(tensor, 0.8); }, start);
  }

  template <class Model, class Form>
  [[nodiscard]] Outcome run(const Model& model, Form form) const {
    Outcome outcome{Sequence(x.extent(0), x.extent(1), layer.output_size()), start, {}};
    if constexpr (requires { form.report; }) form.report = &outcome.report;
    SequenceView<const S> inputs(x);
    if (!lengths.empty()) inputs = inputs.ragged(lengths);
    model.scan(outcome.end, inputs, SequenceView<S>(outcome.y), form);
    return outcome;
  }
};

template <class Outcome>
double distance(const Outcome& a, const Outcome& b) {
  double worst = 0;
  const auto compare = [&](const auto& left, const auto& right) {
    for (Index i = 0; i < left.size(); ++i) {
      const double difference = std::abs(static_cast<double>(left[i]) - static_cast<double>(right[i]));
      worst = difference <= worst ? worst : difference;
    }
  };
  compare(a.y, b.y);
  for_each_tensor([&](const Path&, const auto& left, const auto& right) { compare(left, right); }, a.end, b.end);
  return worst;
}

}  // namespace

TEMPLATE_TEST_CASE("Newton's iteration finds the states of the recurrence", "[ops][newton]", (Lstm<double, 3, 5>),
                   (Gru<double, 3, 6>), (Gru<double, 3, 5, Reset::before>), (ElmanRnn<double, Dynamic, Dynamic>)) {
  const auto make = [] {
    if constexpr (TestType::Hidden == Dynamic) {
      return TestType(3, 5);
    } else {
      return TestType{};
    }
  };
  Problem<TestType> problem(make(), 4, 37);
  SECTION("whole") {}
  SECTION("ragged, NaN in the padding") {
    problem.lengths = {37, 0, 16, 20};
    for (Index b = 0; b < 4; ++b) {
      for (Index t = problem.lengths[static_cast<std::size_t>(b)]; t < 37; ++t) problem.x(b, t, 1) = not_a_number;
    }
  }
  const auto expected = problem.run(problem.layer, Recurrent{});
  const auto full = problem.run(problem.layer, Newton<Jacobian::full, 16>{});
  CHECK(distance(full, expected) < 1e-9);
  CHECK_FALSE(full.report.fell_back);
  CHECK(full.report.iterations > 1);
  CHECK(full.report.iterations <= 8);
  CHECK(full.report.residual < 1e-10);
  const auto diagonal = problem.run(prepare(problem.layer), Newton<Jacobian::diagonal, 16>{});
  CHECK(distance(diagonal, expected) < 1e-9);
  CHECK_FALSE(diagonal.report.fell_back);
  CHECK(diagonal.report.iterations <= 16);
  CHECK(distance(problem.run(problem.layer, Newton<Jacobian::full, 100>{}), expected) < 1e-9);
  CHECK(distance(problem.run(problem.layer, Newton<Jacobian::diagonal, 1>{}), expected) < 1e-12);
}

TEST_CASE("the full Jacobian converges quadratically, its diagonal blocks faster than none", "[ops][newton]") {
  const Problem<Lstm<double, 3, 8>> problem({}, 1, 64, 0.3);
  const auto iterations = [&](auto form) { return problem.run(problem.layer, form).report.iterations; };
  const int full = iterations(Newton<Jacobian::full>{});
  const int diagonal = iterations(Newton<Jacobian::diagonal>{});
  const int jacobi = iterations(Newton<Jacobian::diagonal>{.damping = 1});
  CHECK(full <= 6);
  CHECK(full < diagonal);
  CHECK(diagonal < jacobi);
  CHECK(iterations(Newton<Jacobian::full>{.damping = 0.5}) > full);
}

TEST_CASE("an iteration that meets its cap runs token after token and says so", "[ops][newton]") {
  const Problem<Gru<double, 3, 5>> problem({}, 2, 20, 2.5);
  const auto expected = problem.run(problem.layer, Chunked<>{});
  const int cap = GENERATE(0, 1, 2);
  const auto capped = problem.run(problem.layer, Newton<Jacobian::full, 10>{.max_iterations = cap});
  CHECK(capped.report.fell_back);
  CHECK(capped.report.iterations == cap);
  CHECK(capped.report.residual > 1e-10);
  CHECK(capped.y == expected.y);
  CHECK(capped.end.h == expected.end.h);
}

TEST_CASE("as many iterations as tokens suffice, however strong the weights", "[ops][newton]") {
  const double strength = GENERATE(5.0, 1e3, 1e200);
  const Problem<Lstm<double, 3, 5>> problem({}, 1, 24, strength);
  const auto expected = problem.run(problem.layer, Chunked<>{});
  const auto full = problem.run(problem.layer, Newton<Jacobian::full, 12>{});
  CHECK_FALSE(full.report.fell_back);
  CHECK(full.report.iterations <= 12);
  CHECK(distance(full, expected) < 1e-8);
  const auto diagonal = problem.run(problem.layer, Newton<Jacobian::diagonal, 12>{});
  CHECK_FALSE(diagonal.report.fell_back);
  CHECK(distance(diagonal, expected) < 1e-8);
}

TEST_CASE("a NaN among the inputs reaches what follows it and nothing else", "[ops][newton]") {
  Problem<Lstm<double, 3, 5>> problem({}, 2, 20);
  problem.x(0, 9, 0) = not_a_number;
  const auto expected = problem.run(problem.layer, Chunked<>{});
  const auto found = problem.run(problem.layer, Newton<Jacobian::full, 8>{});
  for (Index i = 0; i < expected.y.size(); ++i) {
    CHECK(std::isnan(found.y[i]) == std::isnan(expected.y[i]));
    if (!std::isnan(expected.y[i])) CHECK(found.y[i] == Approx(expected.y[i]).margin(1e-9));
  }
}

TEST_CASE("Newton's iteration in float, and with weights of half the size", "[ops][newton]") {
  const Problem<Gru<float, 3, 20>> problem({}, 2, 50, 0.3);
  const auto expected = problem.run(problem.layer, Recurrent{});
  const auto full = problem.run(problem.layer, Newton<Jacobian::full>{});
  CHECK(distance(full, expected) < 2e-5);
  CHECK(full.report.iterations < 10);
  const auto rough = problem.run(problem.layer, Newton<Jacobian::diagonal>{.tolerance = 1e-2});
  CHECK(distance(rough, expected) < 1e-1);
  CHECK(rough.report.residual < 1e-2);
  const auto plan = prepare<BFloat16>(problem.layer);
  CHECK(distance(problem.run(plan, Newton<Jacobian::diagonal>{}), problem.run(plan, Recurrent{})) < 5e-5);
}

TEST_CASE("a Newton scan with a workspace used before takes the same", "[ops][newton]") {
  const Problem<Lstm<double, 3, 5>> problem({}, 3, 21);
  Workspace workspace;
  Problem<Lstm<double, 3, 5>>::Sequence y(3, 21, 5);
  Index held = 0;
  for (int run = 0; run < 3; ++run) {
    auto state = problem.start;
    problem.layer.scan<Newton<Jacobian::diagonal, 8>>(state, SequenceView<const double>(problem.x), y, workspace);
    if (run > 0) CHECK(workspace.capacity() == held);
    held = workspace.capacity();
  }
}
