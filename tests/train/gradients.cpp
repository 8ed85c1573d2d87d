#include <stepscan/layers/elman_rnn.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/sequential.hpp>
#include <stepscan/train/accumulation.hpp>
#include <stepscan/train/clipping.hpp>
#include <stepscan/train/exponential_average.hpp>
#include <stepscan/train/gradient_check.hpp>
#include <stepscan/train/optimizers.hpp>
#include <stepscan/train/schedules.hpp>
#include <stepscan/train/truncated_backpropagation.hpp>
#include <stepscan/train/weight_dropout.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::distance;
using testing::numbers;
using testing::Sequence;

namespace {

using Model = Sequential<ElmanRnn<double, 3, 4>, Linear<double, 4, 5>>;

Model some_model() {
  Model model;
  testing::randomize(model, 3);
  return model;
}

Tensor<std::int32_t, Dynamic, Dynamic> random_classes(Index batch, Index time) {
  Tensor<std::int32_t, Dynamic, Dynamic> classes(batch, time);
  Random random(8);
  for (std::int32_t& c : classes) c = random.below(3) == 0 ? -100 : static_cast<std::int32_t>(random.below(5));
  return classes;
}

/// Adds the gradient of scale * the summed loss; the state is handed on.
LossSum add_gradient(const Model& model, Model::State& state, SequenceView<const double> x, ClassTargets targets,
                     double scale, Model& gradient) {
  Sequence<double> y(x.batch, x.time, 5), dy(x.batch, x.time, 5), dx(x.batch, x.time, 3);
  SequenceView<double> out = y;
  out.lengths = x.lengths;
  out.start = x.start;
  Tape<Model> tape;
  model.forward(state, x, out, tape);
  const LossSum sum = CrossEntropy<double>{}.sum(out, targets, dy, scale);
  const auto zero = zeros_like(state);
  auto dstart = zero;
  model.backward(tape, SequenceView<const double>(std::as_const(dy)), zero, gradient, dx, dstart);
  return sum;
}

}  // namespace

TEST_CASE("clipping: the norm, what is scaled, and what is not a number", "[train]") {
  Linear<float, 2, 1> gradient;
  gradient.weight[0] = 3, gradient.weight[1] = 0, gradient.bias[0] = -4;
  CHECK(global_norm(gradient) == 5.0);
  CHECK(clip_by_global_norm(gradient, 6.0) == 5.0);
  CHECK(gradient.bias[0] == -4.0F);
  CHECK(clip_by_global_norm(gradient, 1.0) == 5.0);
  CHECK(gradient.weight[0] == Approx(0.6F));
  CHECK(gradient.bias[0] == Approx(-0.8F));
  gradient.weight[0] = 3e38F, gradient.bias[0] = 3e38F;
  CHECK(clip_by_global_norm(gradient, 1.0) == Approx(3e38 * std::sqrt(2.0)));
  CHECK(gradient.weight[0] == Approx(std::sqrt(0.5)));
  gradient.weight[0] = 3e-30F, gradient.bias[0] = 4e-30F;
  CHECK(global_norm(gradient) == Approx(5e-30).epsilon(1e-6));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    gradient.weight[0] = 2, gradient.bias[0] = bad;
    CHECK_FALSE(std::isfinite(clip_by_global_norm(gradient, 1.0)));
    CHECK(gradient.weight[0] == 2.0F);
  }
  CHECK(global_norm(Linear<float, 2, 1>()) == 0.0);
  CHECK_THROWS_AS(clip_by_global_norm(gradient, 0.0), ArgumentError);

  Linear<double, 100, 37> large;
  testing::randomize(large, 4);
  double sum = 0;
  for (const double g : numbers(large)) sum += g * g;
  CHECK(global_norm(large) == Approx(std::sqrt(sum)).epsilon(1e-14));
}

TEST_CASE("schedules: values by step", "[train]") {
  CHECK(ConstantRate{0.3}(77) == 0.3);
  const LinearRate linear{1.0, 0.2, 4};
  CHECK(linear(0) == 1.0);
  CHECK(linear(1) == Approx(0.8));
  CHECK(linear(4) == 0.2);
  CHECK(linear(9) == 0.2);
  const CosineRate cosine{1.0, 0.2, 4};
  CHECK(cosine(0) == 1.0);
  CHECK(cosine(1) == Approx(0.2 + 0.4 * (1 + std::sqrt(0.5))));
  CHECK(cosine(2) == Approx(0.6));
  CHECK(cosine(4) == 0.2);
  const StepRate steps{0.8, 0.5, 10};
  CHECK(steps(9) == 0.8);
  CHECK(steps(10) == 0.4);
  CHECK(steps(25) == 0.2);
  const WarmUp warm{4, cosine};
  CHECK(warm(0) == 0.25);
  CHECK(warm(3) == 1.0);
  CHECK(warm(4) == 1.0);
  CHECK(warm(6) == Approx(0.6));
  CHECK(warm(100) == 0.2);
}

TEST_CASE("accumulation: parts of a batch give the gradient of the whole", "[train]") {
  const Model model = some_model();
  const auto x = testing::random_sequence<double>(5, 7, 3, 1);
  const auto classes = random_classes(5, 7);
  const ClassTargets targets = classes;
  const SequenceView<const double> in = x;
  auto state = model.initial_state(5);
  Model whole;
  const double count = static_cast<double>(CrossEntropy<double>{}.count(Sequence<double>(5, 7, 5), targets));
  const LossSum sum = add_gradient(model, state, in, targets, 1 / count, whole);

  GradientAccumulator<Model> accumulator(model);
  for (int round = 0; round < 2; ++round) {
    accumulator.clear();
    for (const Index first : {0, 1, 3}) {
      const Index members = first == 0 ? 1 : 2;
      auto part = model.initial_state(members);
      accumulator.add(add_gradient(model, part, in.members(first, members), targets.middle_rows(first, members), 1,
                                   accumulator.gradient));
    }
    CHECK(accumulator.finish() == Approx(sum.mean()).epsilon(1e-13));
  }
  CHECK(distance(numbers(accumulator.gradient), numbers(whole)) < 1e-14);
}

TEST_CASE("exponential average: follows the model", "[train]") {
  Linear<double, 1, 1, false> model;
  model.weight[0] = 1;
  ExponentialAverage<Linear<double, 1, 1, false>> average(model, 0.9);
  model.weight[0] = 2;
  average.update(model);
  CHECK(average.average.weight[0] == Approx(1.1));
  average.update(model);
  CHECK(average.average.weight[0] == Approx(1.19));
  CHECK(average.updates[0] == 2);
  CHECK_THROWS_AS((ExponentialAverage<Linear<double, 1, 1, false>>(model, 1.0)), ArgumentError);
  using Any = Linear<double, Dynamic, Dynamic>;
  ExponentialAverage<Any> other(Any(2, 3), 0.5);
  CHECK_THROWS_WITH(other.update(Any(2, 4)), ContainsSubstring("weight of shape [3, 2], found [4, 2]"));
}

TEST_CASE("truncated back-propagation: one window is the whole, more cut the gradient and hand on the state",
          "[train]") {
  const Model model = some_model();
  auto x = testing::random_sequence<double>(3, 11, 3, 1);
  const std::vector<Index> lengths{11, 4, 0};
  testing::spoil_padding(x, lengths);
  const auto in = SequenceView<const double>(std::as_const(x)).ragged(lengths);
  const auto classes = random_classes(3, 11);
  const ClassTargets targets = classes;
  for (const Index window : {20, 11, 4, 1}) {
    CAPTURE(window);
    Model expected;
    auto by_hand = model.initial_state(3);
    double loss = 0;
    int windows = 0;
    for (Index first = 0; first < 11; first += window) {
      const Index count = std::min(window, 11 - first);
      const auto part = in.slice(first, count);
      Index counted = 0;
      for (Index b = 0; b < 3; ++b) {
        for (Index t = 0; t < part.length(b); ++t) counted += classes(b, first + t) != -100 ? 1 : 0;
      }
      windows += counted > 0 ? 1 : 0;
      loss += add_gradient(model, by_hand, part, targets.middle_cols(first, count),
                           1 / static_cast<double>(std::max<Index>(counted, 1)), expected)
                  .sum;
    }
    Model gradient;
    auto state = model.initial_state(3);
    TruncatedBackpropagation<Model> truncated(window);
    int reported = 0;
    const LossSum sum =
        truncated.run(model, state, in, targets, CrossEntropy<double>{}, gradient, [&](const LossSum&) { ++reported; });
    CHECK(sum.sum == Approx(loss).epsilon(1e-13));
    CHECK(reported == windows);
    CHECK(distance(numbers(gradient), numbers(expected)) < 1e-14);
    CHECK(numbers(state) == numbers(by_hand));
  }
}

TEST_CASE("weight dropout: recurrent weights alone, and the gradient through the mask", "[train]") {
  const Model model = some_model();
  const auto x = testing::random_sequence<double>(2, 6, 3, 1);
  const auto classes = random_classes(2, 6);
  const auto dropped = [](const Model& m) {
    Model copy = m;
    drop_weights(copy, 0.4, 7, 3);
    return copy;
  };
  const auto value = [&](const Model& m) {
    auto state = m.initial_state(2);
    Sequence<double> y(2, 6, 5);
    dropped(m).scan(state, x, y);
    return CrossEntropy<double>{}.sum(y, classes, {}).sum;
  };
  const auto& before = std::get<0>(model.layers);
  const auto after = std::get<0>(dropped(model).layers);
  CHECK(after.weight_ih == before.weight_ih);
  int zeros = 0;
  for (Index i = 0; i < before.weight_hh.size(); ++i) {
    zeros += after.weight_hh[i] == 0 ? 1 : 0;
    CHECK((after.weight_hh[i] == 0 || after.weight_hh[i] == Approx(before.weight_hh[i] / 0.6)));
  }
  CHECK((zeros > 0 && zeros < before.weight_hh.size()));
  Model gradient;
  auto state = model.initial_state(2);
  add_gradient(dropped(model), state, x, classes, 1, gradient);
  drop_weights(gradient, 0.4, 7, 3);
  const GradientReport report = check_gradient(model, gradient, value);
  CAPTURE(report.text());
  CHECK(report.error < 1e-8);
  CHECK_THROWS_AS(drop_weights(gradient, 1.0, 7, 3), ArgumentError);
}

TEST_CASE("training: a few steps of AdamW on one batch bring the loss down", "[train]") {
  Model model = some_model();
  const auto x = testing::random_sequence<double>(4, 12, 3, 1);
  const auto classes = random_classes(4, 12);
  const ClassTargets targets = classes;
  AdamW<Model> optimizer(model);
  TruncatedBackpropagation<Model> truncated(6);
  Model gradient;
  const WarmUp schedule{5, CosineRate{0.05, 0.001, 200}};
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 100; ++epoch) {
    auto state = model.initial_state(4);
    const LossSum loss = truncated.run(model, state, x, targets, CrossEntropy<double>{}, gradient, [&](const LossSum&) {
      clip_by_global_norm(gradient, 1.0);
      optimizer.step(model, gradient, schedule(optimizer.steps[0]));
      clear_tree(gradient);
    });
    if (epoch == 0) first = loss.mean();
    last = loss.mean();
  }
  CHECK(optimizer.steps[0] == 200);
  CHECK(last < 0.6 * first);
}
