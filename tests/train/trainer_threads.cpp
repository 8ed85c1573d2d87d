#include <stdexcept>
#include <stepscan/train/trainer.hpp>
#include <support/catch.hpp>
#include <train/curve_fit.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

FitModel gradient_of(const FitModel& model, Index shard_members, int threads, LossSum* loss = nullptr) {
  FitParallel parallel(shard_members, threads);
  FitModel gradient = zeros_like(model);
  const LossSum sum = fit_gradient(model, parallel)(3, gradient);
  if (loss != nullptr) *loss = sum;
  return gradient;
}

std::vector<double> trained(std::uint64_t seed, int threads) {
  FitModel model = fit_model(seed);
  FitOptimizer optimizer(model);
  Trainer trainer(model, optimizer, {.updates = 12, .accumulate = 2, .clip_norm = 1});
  trainer.learning_rate = [](std::int64_t) { return 0.01; };
  FitParallel parallel(1, threads);
  CHECK(trainer.run(fit_gradient(model, parallel)) == TrainingEnd::finished);
  return numbers(model);
}

}  // namespace

TEST_CASE("the gradient in shards is that of the whole batch, whatever the lengths", "[train]") {
  const FitModel model = fit_model();
  LossSum whole, parts;
  const auto expected = numbers(gradient_of(model, 7, 1, &whole));
  for (const Index members : {1, 2, 3, 6}) {
    CHECK(distance(numbers(gradient_of(model, members, 2, &parts)), expected) < 1e-12);
    CHECK(parts.count == whole.count);
    CHECK(parts.sum == Approx(whole.sum).epsilon(1e-13));
  }
}

TEST_CASE("the number of threads changes no bit of a gradient", "[train]") {
  const FitModel model = fit_model();
  for (const Index members : {1, 3}) {
    LossSum loss, other;
    const auto expected = numbers(gradient_of(model, members, 1, &loss));
    for (const int threads : {2, 3, 8}) {
      CHECK(numbers(gradient_of(model, members, threads, &other)) == expected);
      CHECK(other.sum == loss.sum);
    }
  }
}

TEST_CASE("a gradient adds to what is there, again and again, and of no members is nothing", "[train]") {
  const FitModel model = fit_model();
  const auto once = numbers(gradient_of(model, 2, 2));
  FitParallel parallel(2, 2);
  FitModel gradient = zeros_like(model);
  static_cast<void>(fit_gradient(model, parallel)(3, gradient));
  static_cast<void>(fit_gradient(model, parallel)(3, gradient));
  auto twice = once;
  for (double& value : twice) value *= 2;
  CHECK(numbers(gradient) == twice);
  const auto refuse = [](Shard, FitModel&, SequenceGradient<FitModel>&) -> LossSum {
    throw std::logic_error("called");
  };
  CHECK(parallel(0, gradient, refuse).count == 0);
  CHECK(numbers(gradient) == twice);
}

TEST_CASE("an error in one shard reaches the caller and leaves the gradient alone", "[train]") {
  FitParallel parallel(1, 2);
  FitModel gradient = zeros_like(fit_model());
  const auto work = [](Shard shard, FitModel& part, SequenceGradient<FitModel>&) -> LossSum {
    part.get<0>().weight[0] = 1;
    if (shard.first == 2) fail<ArgumentError>("shard 2");
    return {1, 1};
  };
  CHECK_THROWS_AS(parallel(6, gradient, work), ArgumentError);
  CHECK(numbers(gradient) == numbers(zeros_like(gradient)));
  CHECK(parallel(2, gradient, work).count == 2);
  CHECK(gradient.get<0>().weight[0] == 2);
  CHECK_THROWS_AS(FitParallel(0), ArgumentError);
}

TEST_CASE("the same seed gives the same weights with one thread and with two", "[train]") {
  const auto once = trained(1, 1);
  CHECK(trained(1, 1) == once);
  CHECK(trained(1, 2) == once);
  CHECK(trained(2, 2) != once);
}
