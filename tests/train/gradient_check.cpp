#include <numeric>
#include <stepscan/layers/dropout_backward.hpp>
#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/checkpoint.hpp>
#include <stepscan/models/sequential.hpp>
#include <stepscan/train/gradient_check.hpp>
#include <stepscan/train/losses.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::numbers;
using testing::Sequence;

namespace {

using Block = Sequential<ElmanRnn<double, 3, 4>, VariationalDropout<double, 4>>;
using Model = Sequential<Block, Linear<double, 4, 5>>;
using Thrifty = Sequential<Checkpoint<3, Block>, Linear<double, 4, 5>>;

/// y = 2 x, of which the backward pass gets one number wrong.
struct Wrong : StatelessLayer<Wrong, double, 2, 2> {
  static constexpr const char* name = "Wrong";
  Tensor<double, 2> weight;
  static constexpr auto fields() { return std::tuple{Field{"weight", &Wrong::weight}}; }
  static constexpr Index input_size() noexcept { return 2; }
  static constexpr Index output_size() noexcept { return 2; }
  void run_step(NoState&, MatrixView<const double, Dynamic, 2>, MatrixView<double, Dynamic, 2>) const noexcept {}
  template <class Form>
  void run_scan(const Form&, NoState&, SequenceView<const double, 2> x, SequenceView<double, 2> y, Workspace&) const {
    for (Index i = 0; i < 2 * x.time; ++i) y.data[i] = weight[i % 2] * x.data[i];
  }
};

}  // namespace

template <>
struct stepscan::Training<Wrong> {
  struct Tape {
    SequenceView<const double, 2> x;
    Workspace workspace;
  };
  static void forward(const Wrong& layer, Recurrent form, NoState& state, SequenceView<const double, 2> x,
                      SequenceView<double, 2> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, tape.workspace, form);
  }
  static void backward(const Wrong& layer, Tape& tape, SequenceView<const double, 2> dy, const NoState&,
                       Wrong& gradient, SequenceView<double, 2> dx, NoState&) {
    for (Index i = 0; i < 2 * dx.time; ++i) {
      gradient.weight[i % 2] += dy.data[i] * tape.x.data[i];
      dx.data[i] = dy.data[i] * layer.weight[i % 2];
    }
    gradient.weight[1] += 0.5;
  }
};

TEST_CASE("gradient check: an assembled model, ragged, from any state, and through a loss", "[train]") {
  Model model;
  testing::randomize(model, 3);
  const auto x = testing::random_sequence<double>(2, 6, 3, 1);
  const GradientReport plain = check_gradients(model, x);
  CAPTURE(plain.text());
  CHECK(plain.error < 1e-8);
  CHECK(plain.checked == 2 * 6 * 5 + element_count(model) + x.size() + 2 * 4);

  const std::vector<Index> lengths{6, 2};
  auto start = model.initial_state(2);
  testing::randomize(std::get<0>(std::get<0>(start.layers).layers), 5);
  start_dropout(start, 1, 1);
  const GradientReport ragged =
      check_gradients(model, start, SequenceView<const double>(x).ragged(lengths), {.most_per_tensor = 7}, Recurrent());
  CAPTURE(ragged.text());
  CHECK(ragged.error < 1e-8);

  Tensor<std::int32_t, 2, 6> classes;
  for (Index i = 0; i < classes.size(); ++i) classes[i] = static_cast<std::int32_t>(i % 5);
  const auto objective = [&](SequenceView<const double> y, SequenceView<double> dy) {
    return CrossEntropy<double>{0.1}(y, classes, dy);
  };
  const GradientReport through_loss = check_gradients_of(objective, model, start, x);
  CAPTURE(through_loss.text());
  CHECK(through_loss.error < 1e-8);
}

TEST_CASE("gradient check: names the number that is wrong", "[train]") {
  Wrong model;
  model.weight.fill(2);
  const auto x = testing::random_sequence<double>(1, 4, 2, 1);
  const GradientReport report = check_gradients(model, x);
  CHECK(report.where == "parameter weight[1]");
  CHECK(report.found == Approx(report.expected + 0.5));
  CHECK_THAT(report.text(), ContainsSubstring("numbers, in parameter weight[1]: expected "));
}

TEST_CASE("gradient check: of anything that has parameters", "[train]") {
  Linear<double, 2, 2> model, gradient;
  testing::randomize(model, 1);
  const auto square = [](const auto& m) {
    const std::vector<double> values = numbers(m);
    return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  };
  std::transform(model.weight.begin(), model.weight.end(), gradient.weight.begin(), [](double w) { return 2 * w; });
  gradient.bias[0] = 2 * model.bias[0];
  gradient.bias[1] = 2 * model.bias[1] + 1;
  const GradientReport report = check_gradient(model, gradient, square);
  CHECK(report.where == "parameter bias[1]");
  CHECK(report.error == Approx(1 / std::max(1.0, std::abs(2 * model.bias[1]))));
  CHECK(report.checked == 6);
}

TEST_CASE("checkpoint: the gradient of the layer, in a tape of one window", "[train]") {
  Model model;
  testing::randomize(model, 3);
  Thrifty thrifty;
  testing::copy_parameters(model, thrifty);
  const auto x = testing::random_sequence<double>(2, 8, 3, 1), dy = testing::random_sequence<double>(2, 8, 5, 2);
  const std::vector<Index> lengths{8, 4};
  const auto trained = [&](const auto& layer, const auto& form) {
    using L = std::remove_cvref_t<decltype(layer)>;
    struct Result {
      Sequence<double> y{2, 8, 5}, dx{2, 8, 3};
      L gradient;
      typename L::State state;
    } result;
    result.gradient = zeros_like(layer);
    result.state = layer.initial_state(2);
    start_dropout(result.state, 1, 1);
    auto dend = zeros_like(result.state), dstart = dend;
    testing::randomize(std::get<0>(dend.layers), 9);
    Tape<L> tape;
    layer.forward(result.state, SequenceView<const double>(x).ragged(lengths), result.y, tape, form);
    layer.backward(tape, SequenceView<const double>(dy), dend, result.gradient, result.dx, dstart);
    result.state = dstart;
    return result;
  };
  const auto compare = [&](const auto& form) {
    const auto expected = trained(model, form);
    const auto found = trained(thrifty, form);
    CHECK(distance(found.y, expected.y) < 1e-14);
    CHECK(distance(found.dx, expected.dx) < 1e-14);
    CHECK(distance(numbers(found.gradient), numbers(expected.gradient)) < 1e-14);
    CHECK(distance(numbers(found.state), numbers(expected.state)) < 1e-14);
  };
  compare(OwnForm());
  compare(Recurrent());
}

TEST_CASE("checkpoint: asks for a quarter of the layer's memory, or less", "[train]") {
  const auto bytes_of = [](const auto& layer, Index time) {
    using L = std::remove_cvref_t<decltype(layer)>;
    const auto x = testing::random_sequence<double>(2, time, 3, 1),
               dy = testing::random_sequence<double>(2, time, 4, 2);
    Sequence<double> y(dy.shape()), dx(x.shape());
    auto gradient = zeros_like(layer);
    auto state = layer.initial_state(2), dend = state, dstart = state;
    const long before = testing::allocated_bytes();
    Tape<L> tape;
    layer.forward(state, x, y, tape);
    layer.backward(tape, dy, dend, gradient, dx, dstart);
    return static_cast<double>(testing::allocated_bytes() - before);
  };
  Block block;
  testing::randomize(block, 3);
  const Checkpoint<32, Block> thrifty(block);
  CHECK(bytes_of(block, 4096) > 10 * bytes_of(block, 32));
  CHECK(bytes_of(thrifty, 4096) < 0.25 * bytes_of(block, 4096));
}
