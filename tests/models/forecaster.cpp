#include <models/leaky.hpp>
#include <numeric>
#include <stepscan/models/forecaster_backward.hpp>
#include <stepscan/models/sequential.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::difference_error;
using testing::distance;
using testing::Leaky;
using testing::random_sequence;
using testing::randomize;
using testing::Sequence;

namespace {

using Encoder = Sequential<Linear<double, Dynamic, Dynamic>, Leaky<double, Dynamic>>;
using Model = Forecaster<Encoder>;

constexpr Index channels = 2, lookback = 9, horizon = 3;

Model make_model(const Patching& patching, bool normalized) {
  const ForecastSizes sizes{channels, lookback, horizon, patching, normalized};
  const Linear<double, Dynamic, Dynamic> embedding(patching.features(channels), 4);
  Model model(sizes, Encoder(embedding, Leaky<double, Dynamic>(4)));
  randomize(model, 1, 0.2, 1);
  return model;
}

Sequence<double> scanned(const Model& model, const Sequence<double>& x, Model::State& state) {
  Workspace workspace;
  Sequence<double> y(x.extent(0), horizon, channels);
  model.scan(state, x, y, workspace);
  return y;
}

Sequence<double> scanned(const Model& model, const Sequence<double>& x) {
  auto state = model.initial_state(x.extent(0));
  return scanned(model, x, state);
}

}  // namespace

TEST_CASE("forecaster: patches are windows of each channel, or of all, the last one filled up", "[models]") {
  Sequence<double> x(1, 7, 2);
  std::iota(x.begin(), x.end(), 0.0);
  const Patching apart{3, 2, true, false}, mixed{3, 2, false, true};
  REQUIRE((apart.count(7) == 4 && apart.members(1, 2) == 2 && mixed.count(7) == 3 && mixed.features(2) == 6));
  Sequence<double> patches(2, 4, 3), joined(1, 3, 6);
  take_patches<double>(apart, std::as_const(x), patches);
  take_patches<double>(mixed, std::as_const(x), joined);
  const std::vector<double> second_channel{1, 3, 5, 5, 7, 9, 9, 11, 13, 13, 13, 13};
  CHECK(std::equal(second_channel.begin(), second_channel.end(), &patches(1, 0, 0)));
  CHECK(std::vector<double>(&joined(0, 1, 0), &joined(0, 1, 0) + 6) == std::vector<double>{4, 5, 6, 7, 8, 9});
}

TEST_CASE("forecaster: a series on another scale is forecast on that scale", "[models]") {
  const Model model = make_model({4, 2, true, false}, true);
  const auto x = random_sequence<double>(2, lookback, channels, 2, 100);
  auto moved = x;
  for (double& value : moved) value = 3 * value + 700;
  const auto y = scanned(model, x), moved_y = scanned(model, moved);
  for (Index i = 0; i < y.size(); ++i) CHECK(moved_y[i] == Approx(3 * y[i] + 700).epsilon(1e-6));
  CHECK(distance(y, [&] {
          const auto plan = prepare(model);
          auto state = plan.initial_state(2);
          Workspace workspace;
          Sequence<double> planned(y.shape());
          plan.scan(state, x, planned, workspace);
          return planned;
        }()) < 1e-10);
}

TEST_CASE("forecaster: gradients equal finite differences", "[models]") {
  for (const Patching& patching : {Patching{4, 2, true, false}, Patching{3, 3, false, true}}) {
    for (const bool normalized : {false, true}) {
      CAPTURE(patching.channels_mixed, normalized);
      Model model = make_model(patching, normalized);
      auto x = random_sequence<double>(2, lookback, channels, 2);
      const auto dy = random_sequence<double>(2, horizon, channels, 3);
      auto start = model.initial_state(2), dend = start, dstart = start;
      randomize(start, 4);
      randomize(dend, 5);
      const auto loss = [&] {
        auto state = start;
        const auto y = scanned(model, x, state);
        const auto end = testing::numbers(state), cotangent = testing::numbers(dend);
        return std::inner_product(y.begin(), y.end(), dy.begin(),
                                  std::inner_product(end.begin(), end.end(), cotangent.begin(), 0.0));
      };
      Tape<Model> tape;
      auto gradient = zeros_like(model);
      auto state = start;
      Sequence<double> y(dy.shape()), dx(x.shape());
      model.forward(state, std::as_const(x), y, tape);
      state = start;
      CHECK(distance(y, scanned(model, x, state)) < 1e-12);
      y.fill(0);
      model.backward(tape, dy, dend, gradient, dx, dstart);
      CHECK(difference_error(model, gradient, loss) < 1e-7);
      CHECK(difference_error(start, dstart, loss) < 1e-7);
      CHECK(difference_error(x, dx, loss) < 1e-7);
    }
  }
}

TEST_CASE("forecaster: sizes that do not fit are refused", "[models]") {
  const Encoder encoder(Linear<double, Dynamic, Dynamic>(4, 3), Leaky<double, Dynamic>(3));
  CHECK_THROWS_AS(Model({2, 9, 3, {5, 1}}, encoder), ShapeError);
  CHECK_THROWS_AS(Model({2, 3, 3, {4, 1}}, encoder), ArgumentError);
  CHECK_THROWS_AS(Model({2, 9, 0, {4, 1}}, encoder), ArgumentError);
  const Model model = make_model({4, 2, true, false}, true);
  CHECK_THROWS_AS(scanned(model, random_sequence<double>(1, lookback + 1, channels, 2)), ShapeError);
}
