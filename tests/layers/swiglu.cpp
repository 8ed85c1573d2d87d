#include <stepscan/core/threads.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/layers/swiglu_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Model = SwiGlu<double, Dynamic, Dynamic>;

Model make_model() {
  Model model(5, 11);
  randomize(model, 1);
  return model;
}

/// The equation, token by token.
Sequence<double> plain(const Model& model, const Sequence<double>& x) {
  Sequence<double> y(x.shape());
  const auto row = [&](const auto& linear, Index i, const double* from) {
    double sum = 0;
    for (Index k = 0; k < linear.input_size(); ++k) sum += linear.weight(i, k) * from[k];
    return sum;
  };
  for (Index t = 0; t < x.extent(0) * x.extent(1); ++t) {
    std::vector<double> h;
    for (Index i = 0; i < model.hidden_size(); ++i) {
      const double gate = row(model.w_gate, i, &x[5 * t]);
      h.push_back(gate / (1 + std::exp(-gate)) * row(model.w_up, i, &x[5 * t]));
    }
    for (Index i = 0; i < 5; ++i) y[5 * t + i] = row(model.w_down, i, h.data());
  }
  return y;
}

}  // namespace

TEST_CASE("a SwiGlu is the gated feed-forward network of its equation", "[layers]") {
  const Model model = make_model();
  const auto x = random_sequence<double>(3, 150, 5, 2, 2);
  const auto expected = plain(model, x);
  CHECK(distance(scanned(model, x), expected) < 1e-13);
  CHECK(distance(scanned(model, x, Recurrent{}), expected) < 1e-13);
  CHECK(distance(scanned(prepare(model), x), expected) < 1e-13);
  SwiGlu<double, 5, 11> fixed;
  copy_parameters(model, fixed);
  CHECK(distance(scanned(fixed, x), expected) < 1e-13);
  CHECK(distance(scanned(prepare(fixed), x), expected) < 1e-13);
}

TEST_CASE("a step of a SwiGlu takes more rows than its state was made for", "[layers]") {
  const Model model = make_model();
  const auto plan = prepare(model);
  const auto x = random_sequence<double>(7, 1, 5, 2);
  const auto expected = scanned(plan, x);
  auto state = plan.initial_state(2);
  Sequence<double> y(7, 1, 5);
  plan.step(state, SequenceView<const double>(x).frame(0), SequenceView<double>(y).frame(0));
  CHECK(y == expected);
}

TEST_CASE("the memory of a SwiGlu does not grow with the sequence", "[layers]") {
  const auto plan = prepare(make_model());
  CHECK(testing::scan_memory(plan, 1, 2000) == testing::scan_memory(plan, 1, 64));
}

TEST_CASE("the threads of a SwiGlu change no bit", "[layers]") {
  SwiGlu<float, Dynamic, Dynamic> model(24, 40);
  randomize(model, 1);
  const auto plan = prepare(model);
  const auto x = random_sequence<float>(3, 150, 24, 2);
  const std::vector<Index> lengths{150, 0, 70};
  const int before = max_threads();
  std::vector<Sequence<float>> results;
  for (const int threads : {1, 4}) {
    set_max_threads(threads);
    Sequence<float> y(3, 150, 24);
    y.fill(7);
    auto state = plan.initial_state(3);
    plan.scan(state, SequenceView<const float>(x).ragged(lengths), y);
    results.push_back(scanned(plan, x));
    results.push_back(y);
  }
  set_max_threads(before);
  CHECK(results[0] == results[2]);
  CHECK(results[1] == results[3]);
  CHECK(results[1](1, 0, 0) == 0);
  CHECK(results[1](2, 69, 3) == results[0](2, 69, 3));
}

TEST_CASE("parameters of a SwiGlu have names", "[layers]") {
  std::vector<std::string> names;
  const Model model = make_model();
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, model);
  CHECK(names == std::vector<std::string>{"w_gate.weight", "w_up.weight", "w_down.weight"});
}

TEST_CASE("gradients of gated feed-forward networks equal finite differences", "[layers]") {
  CHECK(gradient_error(make_model(), 2, 3) < 1e-7);
  CHECK(gradient_error(make_model(), 3, 4, {4, 0, 2}) < 1e-7);
  GeGlu<double, 3, 4> other;
  randomize(other, 1);
  CHECK(gradient_error(other, 1, 140) < 1e-7);
}
