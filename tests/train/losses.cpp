#include <stepscan/core/threads.hpp>
#include <stepscan/train/losses.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::random_sequence;
using testing::Sequence;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The largest difference between dy and central differences of the mean.
template <class Loss, class Targets>
double slope_error(const Loss& loss, Sequence<double> y, const Targets& targets, const std::vector<Index>& lengths) {
  Sequence<double> dy(y.shape());
  dy.fill(not_a_number);
  const auto view = [&] { return SequenceView<const double>(std::as_const(y)).ragged(lengths); };
  const double mean = loss(view(), targets, dy);
  double error = std::abs(mean - loss(view(), targets, {}));
  for (Index i = 0; i < y.size(); ++i) {
    const double at = y[i];
    constexpr double step = 1e-6;
    y[i] = at + step;
    const double above = loss(view(), targets, {});
    y[i] = at - step;
    const double slope = (above - loss(view(), targets, {})) / (2 * step);
    y[i] = at;
    const double off = std::abs(slope - dy[i]);
    error = off <= 1e9 ? std::max(error, off) : 1e9;
  }
  return error;
}

const std::vector<Index> some_lengths{3, 0, 1};

Tensor<std::int32_t, Dynamic, Dynamic> some_classes() {
  Tensor<std::int32_t, Dynamic, Dynamic> targets(3, 3);
  const std::int32_t values[] = {0, -100, 4, 77, 77, 77, 2, -5, 77};
  std::copy(std::begin(values), std::end(values), targets.begin());
  return targets;
}

}  // namespace

TEST_CASE("losses: values by hand", "[train]") {
  Tensor<double, 1, 2, 2> y, dy;
  y[0] = 1.0, y[1] = 3.0, y[2] = 0.0, y[3] = -2.0;
  Tensor<std::int32_t, 1, 2> classes;
  classes[0] = 1, classes[1] = 1;
  const double first = std::log1p(std::exp(-2.0)), second = 2 + std::log1p(std::exp(-2.0));
  const ClassTargets targets = classes;
  CHECK(CrossEntropy<double>{}(y, targets, dy) == Approx((first + second) / 2).epsilon(1e-14));
  CHECK(dy[1] == Approx((1 / (1 + std::exp(-2.0)) - 1) / 2).epsilon(1e-14));
  CHECK(dy[2] == Approx(1 / (1 + std::exp(-2.0)) / 2).epsilon(1e-14));
  // Smoothed by 0.1, a target is 0.95 of its class and 0.05 of the other, which is 2 nearer or farther.
  CHECK(CrossEntropy<double>{0.1}.sum(y, targets, dy).sum == Approx(first + 0.05 * 2 + second - 0.05 * 2));

  Tensor<double, 1, 2, 2> wanted;
  wanted[0] = 0.0, wanted[1] = 1.0, wanted[2] = 0.0, wanted[3] = 0.5;
  CHECK(Mse<double>{}(y, wanted, dy) == Approx((1 + 4 + 0 + 6.25) / 4));
  CHECK(Mae<double>{}(y, wanted, dy) == Approx((1 + 2 + 0 + 2.5) / 4));
  CHECK(dy[0] == 0.25);
  CHECK(dy[2] == 0);
  CHECK(dy[3] == -0.25);
  CHECK(Huber<double>{1.5}(y, wanted, dy) == Approx((0.5 + 1.5 * (2 - 0.75) + 0 + 1.5 * (2.5 - 0.75)) / 4));
  const double logistic = std::log1p(std::exp(1.0)) + std::log1p(std::exp(-3.0)) + std::log(2.0) +
                          (0.5 * std::log1p(std::exp(2.0)) + 0.5 * std::log1p(std::exp(-2.0)));
  CHECK(BinaryCrossEntropy<double>{}(y, wanted, dy) == Approx(logistic / 4).epsilon(1e-14));
  CHECK(NegativeLogLikelihood<double>{}(y, targets, dy) == Approx((-3.0 + 2.0) / 2));
  CHECK(dy[1] == -0.5);
}

TEST_CASE("losses: slopes are those of finite differences, nothing comes from padding", "[train]") {
  auto y = random_sequence<double>(3, 3, 21, 1, 3.0);
  testing::spoil_padding(y, some_lengths);
  auto wanted = random_sequence<double>(3, 3, 21, 2);
  testing::spoil_padding(wanted, some_lengths);
  auto probabilities = wanted;
  for (double& value : probabilities) value = std::abs(value);
  const auto classes = some_classes();
  const ClassTargets targets = classes;
  const SequenceView<const double> numbers = std::as_const(wanted);
  CHECK(slope_error(CrossEntropy<double>{}, y, targets, some_lengths) < 1e-8);
  CHECK(slope_error(CrossEntropy<double>{0.3}, y, targets, some_lengths) < 1e-8);
  CHECK(slope_error(NegativeLogLikelihood<double>{}, y, targets, some_lengths) < 1e-8);
  CHECK(slope_error(Mse<double>{}, y, numbers, some_lengths) < 1e-8);
  CHECK(slope_error(Mae<double>{}, y, numbers, some_lengths) < 1e-8);
  CHECK(slope_error(Huber<double>{0.7}, y, numbers, some_lengths) < 1e-8);
  CHECK(slope_error(BinaryCrossEntropy<double>{}, y, SequenceView<const double>(std::as_const(probabilities)),
                    some_lengths) < 1e-8);
}

TEST_CASE("losses: logits of ten thousand", "[train]") {
  const auto check = [](auto zero) {
    using S = decltype(zero);
    Tensor<S, 1, 1, 3> y, dy, wanted;
    y[0] = S(1e4), y[1] = S(-1e4), y[2] = S(0);
    Tensor<std::int32_t, 1, 1> target;
    target[0] = 0;
    CHECK(CrossEntropy<S>{}(y, target, dy) == 0.0);
    target[0] = 1;
    CHECK(CrossEntropy<S>{}(y, target, dy) == 2e4);
    CHECK(dy[0] == S(1));
    CHECK(dy[1] == S(-1));
    wanted[0] = S(1);
    CHECK(BinaryCrossEntropy<S>{}(y, wanted, dy) == Approx(std::log(2.0) / 3));
    CHECK(dy[0] == S(0));
    CHECK(dy[1] == S(0));
    wanted[0] = S(0), wanted[1] = S(1);
    CHECK(BinaryCrossEntropy<S>{}.sum(y, wanted, dy).sum == Approx(2e4 + std::log(2.0)));
    CHECK(dy[0] == S(1));
    CHECK(dy[1] == S(-1));
    y[0] = S(30), wanted[0] = S(1);
    CHECK(BinaryCrossEntropy<S>{}.sum(y, wanted, dy).sum > 1e4);
    CHECK(dy[0] == Approx(-std::exp(-30.0)).epsilon(1e-6));
  };
  check(0.0F);
  check(0.0);
}

TEST_CASE("losses: parts add up to the whole, for any number of threads", "[train]") {
  const auto y = random_sequence<float>(4, 150, 70, 5, 4.0);
  Tensor<std::int32_t, Dynamic, Dynamic> classes(4, 150);
  Random random(9);
  for (std::int32_t& target : classes)
    target = random.below(5) == 0 ? -100 : static_cast<std::int32_t>(random.below(70));
  const CrossEntropy<float> loss{0.1};
  Sequence<float> whole(y.shape()), parts(y.shape()), threaded(y.shape());
  const SequenceView<const float> logits = y;
  const SequenceView<float> to = parts;
  const ClassTargets targets = classes;
  const double mean = loss(y, targets, whole);
  LossSum sum;
  const double scale = 1.0 / static_cast<double>(loss.count(y, targets));
  for (const Index first : {0, 1, 3}) {
    const Index count = first == 1 ? 2 : 1;
    sum += loss.sum(logits.members(first, count), targets.middle_rows(first, count), to.members(first, count), scale);
  }
  CHECK(sum.mean() == Approx(mean).epsilon(1e-12));
  CHECK(parts == whole);
  const int before = max_threads();
  set_max_threads(3);
  CHECK(loss(y, targets, threaded) == mean);
  CHECK(threaded == whole);
  set_max_threads(before);
}

TEST_CASE("losses: what does not fit is refused", "[train]") {
  Tensor<double, 1, 2, 3> y, dy;
  Tensor<double, 1, 2, 2> narrow;
  Tensor<std::int32_t, 1, 2> targets;
  Tensor<std::int32_t, 2, 2> more;
  const CrossEntropy<double> loss;
  CHECK_THROWS_AS(loss(y, more, dy), ShapeError);
  CHECK_THROWS_AS(loss(y, targets, narrow), ShapeError);
  CHECK_THROWS_AS(Mse<double>{}(y, narrow, dy), ShapeError);
  targets[1] = 3;
  CHECK_THROWS_WITH(loss(y, targets, dy), ContainsSubstring("expected a class below 3") &&
                                              ContainsSubstring("found 3 as the target of token 1 of member 0"));
  targets[0] = targets[1] = -100;
  dy.fill(not_a_number);
  CHECK(loss(y, targets, dy) == 0.0);
  CHECK(std::all_of(dy.begin(), dy.end(), [](double d) { return d == 0; }));
}
