#include <numeric>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/dropout_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/state.hpp>
#include <stepscan/models/sequential.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using testing::Sequence;

namespace {

constexpr Index features = 6;
using PerToken = Dropout<double, features>;
using Locked = VariationalDropout<double, features>;

template <class L>
Sequence<double> dropped(const L& layer, const Sequence<double>& x, std::uint64_t seed, std::uint64_t step,
                         Index first_member = 0) {
  Sequence<double> y(x.shape());
  auto state = layer.initial_state(x.extent(0));
  start_dropout(state, seed, step, first_member);
  layer.scan(state, x, y);
  return y;
}

Sequence<double> ones(Index batch, Index time) {
  Sequence<double> x(batch, time, features);
  x.fill(1);
  return x;
}

}  // namespace

TEST_CASE("dropout: nothing without a start, in a plan, or after a stop", "[layers]") {
  const PerToken layer(0.4);
  const auto x = testing::random_sequence<double>(2, 5, features, 1);
  CHECK(testing::scanned(layer, x) == x);
  CHECK(dropped(prepare(layer), x, 7, 0) == x);
  auto state = layer.initial_state(2);
  start_dropout(state, 7, 0);
  stop_dropout(state);
  Sequence<double> y(x.shape());
  layer.scan(state, x, y);
  CHECK(y == x);
  CHECK_THROWS_AS(PerToken(1.0), ArgumentError);
}

TEST_CASE("dropout: kept features are scaled, as many as the rate says", "[layers]") {
  const auto y = dropped(PerToken(0.3), ones(10, 500), 1, 2);
  const auto kept = std::count_if(y.begin(), y.end(), [](double v) { return v != 0; });
  CHECK(std::all_of(y.begin(), y.end(), [](double v) { return v == 0 || v == 1 / (1 - 0.3); }));
  CHECK(static_cast<double>(kept) / static_cast<double>(y.size()) == Approx(0.7).margin(0.01));
}

TEST_CASE("dropout: masks differ by seed, step, member, token and layer; of a sequence they are one", "[layers]") {
  const auto x = ones(2, 40);
  const auto y = dropped(PerToken(0.5), x, 1, 2);
  CHECK(y == dropped(PerToken(0.5), x, 1, 2));
  CHECK_FALSE(y == dropped(PerToken(0.5), x, 2, 2));
  CHECK_FALSE(y == dropped(PerToken(0.5), x, 1, 3));
  const auto equal_tokens = [](const Sequence<double>& s, Index b, Index t, Index u) {
    return std::equal(&s(b, t, 0), &s(b, t, 0) + features, &s(b, u, 0));
  };
  Index same = 0, locked_same = 0;
  const auto locked = dropped(Locked(0.5), x, 1, 2);
  for (Index t = 1; t < 40; ++t) {
    same += equal_tokens(y, 0, 0, t) ? 1 : 0;
    locked_same += equal_tokens(locked, 0, 0, t) && equal_tokens(locked, 1, 0, t) ? 1 : 0;
  }
  CHECK(same < 10);
  CHECK(locked_same == 39);
  CHECK_FALSE(std::equal(&y(0, 0, 0), &y(1, 0, 0), &y(1, 0, 0)));

  const Sequential<PerToken, PerToken> two(PerToken(0.5), PerToken(0.5));
  const auto once = dropped(PerToken(0.5), x, 1, 2), twice = dropped(two, x, 1, 2);
  CHECK_FALSE(
      std::equal(once.begin(), once.end(), twice.begin(), [](double a, double b) { return (a == 0) == (b == 0); }));
}

TEST_CASE("dropout: steps, splits and parts of a batch draw the masks of the whole", "[layers]") {
  const PerToken layer(0.5);
  const auto x = testing::random_sequence<double>(3, 9, features, 3);
  const auto y = dropped(layer, x, 5, 1);
  Sequence<double> stepped(x.shape());
  auto state = layer.initial_state(3);
  start_dropout(state, 5, 1);
  const SequenceView<const double> in = x;
  const SequenceView<double> out = stepped;
  layer.scan(state, in.slice(0, 4), out.slice(0, 4));
  for (Index t = 4; t < 9; ++t) layer.step(state, in.frame(t), out.frame(t));
  CHECK(stepped == y);

  auto part = layer.initial_state(2);
  start_dropout(part, 5, 1, 1);
  stepped.fill(0);
  layer.scan(part, in.members(1, 2), out.members(1, 2));
  CHECK(std::equal(&y(1, 0, 0), y.end(), &stepped(1, 0, 0)));
}

TEST_CASE("dropout: gradients are those of finite differences, for any number of threads", "[layers]") {
  using Model = Sequential<Linear<double, 4, features>, PerToken, Locked, Linear<double, features, 3>>;
  Model model;
  testing::randomize(model, 4);
  const auto x = testing::random_sequence<double>(2, 6, 4, 5), dy = testing::random_sequence<double>(2, 6, 3, 6);
  const std::vector<Index> lengths{6, 4};
  const auto view = [&] { return SequenceView<const double>(x).ragged(lengths); };
  auto start = model.initial_state(2);
  start_dropout(start, 1, 1);
  Sequence<double> y(2, 6, 3), dx(x.shape());
  Tape<Model> tape;
  Model gradient = zeros_like(model);
  auto state = start, dstate = start;
  model.forward(state, view(), y, tape);
  CHECK_FALSE(y == testing::scanned(model, x));
  model.backward(tape, SequenceView<const double>(dy), start, gradient, dx, dstate);
  const auto loss = [&] {
    auto from = start;
    Sequence<double> out(y.shape());
    model.scan(from, view(), out);
    return std::inner_product(out.begin(), out.end(), dy.begin(), 0.0);
  };
  double error = 0;
  for_each_tensor(
      [&](const Path&, auto& parameter, const auto& slope) {
        for (Index i = 0; i < parameter.size(); ++i) {
          const double at = parameter[i];
          parameter[i] = at + 1e-5;
          const double above = loss();
          parameter[i] = at - 1e-5;
          error = std::max(error, std::abs((above - loss()) / 2e-5 - slope[i]));
          parameter[i] = at;
        }
      },
      model, gradient);
  CHECK(error < 1e-8);

  const Dropout<float, Dynamic> wide(300, 0.2);
  const auto many = testing::random_sequence<float>(2, 100, 300, 8);
  const auto threaded = [&](int threads) {
    const int before = max_threads();
    set_max_threads(threads);
    Sequence<float> out(many.shape());
    auto from = wide.initial_state(2);
    start_dropout(from, 1, 1);
    wide.scan(from, many, out);
    set_max_threads(before);
    return out;
  };
  CHECK(threaded(1) == threaded(3));
}
