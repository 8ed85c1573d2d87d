#include <models/leaky.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/sequential.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Down = Sequential<Linear<double, 3, 2>, Leaky<double, 2>>;
using Both = Bidirectional<Leaky<double, 3>, Down>;

template <class L>
L randomized(L layer) {
  randomize(layer, 1);
  return layer;
}

/// Both directions by hand, one member at a time, from zero states.
template <class L>
Sequence<double> reference(const L& layer, const Sequence<double>& x, const std::vector<Index>& lengths) {
  Sequence<double> y(x.extent(0), x.extent(1), layer.output_size());
  const Index features = x.extent(2), split = layer.forward_layer.output_size();
  for (Index b = 0; b < x.extent(0); ++b) {
    const Index time = lengths[static_cast<std::size_t>(b)];
    Sequence<double> own(1, time, features), reversed(1, time, features);
    for (Index t = 0; t < time; ++t) {
      std::copy_n(&x(b, t, 0), features, &own(0, t, 0));
      std::copy_n(&x(b, t, 0), features, &reversed(0, time - 1 - t, 0));
    }
    const auto forward = scanned(layer.forward_layer, own), backward = scanned(layer.backward_layer, reversed);
    for (Index t = 0; t < time; ++t) {
      std::copy_n(&forward(0, t, 0), split, &y(b, t, 0));
      std::copy_n(&backward(0, time - 1 - t, 0), layer.output_size() - split, &y(b, t, split));
    }
  }
  return y;
}

template <class L, class Form = OwnForm>
Sequence<double> scanned_ragged(const L& layer, const Sequence<double>& x, const std::vector<Index>& lengths,
                                const Form& form = {}) {
  Sequence<double> y(x.extent(0), x.extent(1), layer.output_size());
  y.fill(7);
  auto state = layer.initial_state(x.extent(0));
  layer.scan(state, SequenceView<const double>(x).ragged(lengths), y, form);
  return y;
}

}  // namespace

TEST_CASE("a Bidirectional reads each member in both directions, padding in none", "[models]") {
  const std::vector<Index> lengths{600, 0, 257, 1, 256};
  const auto check_one = [&](const auto& layer) {
    auto x = random_sequence<double>(5, 600, 3, 2);
    const auto expected = reference(layer, x, lengths);
    const auto whole = reference(layer, x, std::vector<Index>(5, 600));
    CHECK(distance(scanned(layer, x), whole) < 1e-12);
    CHECK(distance(scanned(prepare(layer), x), whole) < 1e-12);
    spoil_padding(x, lengths);
    CHECK(distance(scanned_ragged(layer, x, lengths), expected) < 1e-12);
    CHECK(distance(scanned_ragged(prepare(layer), x, lengths), expected) < 1e-12);
    CHECK(distance(scanned_ragged(layer, x, lengths, Recurrent{}), expected) < 1e-12);
  };
  check_one(randomized(Both()));
  check_one(randomized(Bidirectional<Gru<double, 3, 5>>()));
  check_one(randomized(Bidirectional(Lstm<double, Dynamic, Dynamic>(3, 4), Gru<double, 3, 7>())));
  check_one(randomized(Bidirectional(Both(), Leaky<double, Dynamic>(3))));
}

TEST_CASE("the states of a Bidirectional start at its two ends and arrive at the others", "[models]") {
  const auto layer = randomized(Bidirectional<Leaky<double, 2>>());
  const auto x = random_sequence<double>(1, 3, 2, 2);
  auto state = layer.initial_state(1);
  state.forward.h(0, 0) = 2;
  state.backward.h(0, 0) = 5;
  Sequence<double> y(1, 3, 4);
  layer.scan(state, x, y);
  const double a = layer.forward_layer.decay[0], b = layer.backward_layer.decay[0];
  CHECK(y(0, 0, 0) == Approx(2 * a + x(0, 0, 0)));
  CHECK(y(0, 2, 2) == Approx(5 * b + x(0, 2, 0)));
  CHECK(state.forward.h(0, 0) == y(0, 2, 0));
  CHECK(state.backward.h(0, 0) == y(0, 0, 2));
}

TEST_CASE("a Bidirectional has no step, and says that it is not causal", "[models]") {
  STATIC_REQUIRE_FALSE(Both::causal);
  STATIC_REQUIRE_FALSE(Sequential<Both, Linear<double, 5, 2>>::causal);
  STATIC_REQUIRE(Both::static_outputs == 5);
  STATIC_REQUIRE(std::is_same_v<Both::Forms, std::tuple<Recurrent, Chunked<>>>);
  STATIC_REQUIRE(has_form<Bidirectional<Gru<double, 3, 5>>, Newton<>>);
  STATIC_REQUIRE_FALSE(has_form<Both, Newton<>>);
}

TEST_CASE("a Bidirectional gives the same bits for any number of threads", "[models]") {
  const auto plan = prepare(randomized(Bidirectional<Lstm<double, 3, 9>>()));
  const int before = max_threads();
  for (const Index batch : {1, 3}) {
    const auto x = random_sequence<double>(batch, 300, 3, 2);
    set_max_threads(1);
    const auto single = scanned(plan, x);
    for (const int threads : {2, 3, 4}) {
      set_max_threads(threads);
      CHECK(scanned(plan, x) == single);
    }
  }
  set_max_threads(before);
}

TEST_CASE("a stack of Bidirectionals", "[models]") {
  const auto stack =
      randomized(Sequential<Bidirectional<Leaky<double, 3>>, Bidirectional<Leaky<double, 6>>, Linear<double, 12, 2>>());
  const std::vector<Index> lengths{7, 3};
  auto x = random_sequence<double>(2, 7, 3, 2);
  const auto first = reference(stack.get<0>(), x, lengths);
  const auto expected = scanned_ragged(stack.get<2>(), reference(stack.get<1>(), first, lengths), lengths);
  spoil_padding(x, lengths);
  CHECK(distance(scanned_ragged(stack, x, lengths), expected) < 1e-13);
  CHECK(gradient_error(stack, 2, 4) < 1e-7);
  CHECK(gradient_error(stack, 3, 4, {4, 0, 2}) < 1e-7);
}

TEST_CASE("gradients of a Bidirectional equal finite differences", "[models]") {
  const auto layer = randomized(Both());
  CHECK(gradient_error(layer, 2, 5) < 1e-7);
  CHECK(gradient_error(layer, 3, 5, {5, 0, 2}) < 1e-7);
  CHECK(gradient_error(layer, 2, 0) < 1e-7);
  CHECK(gradient_error(layer, 0, 2) < 1e-7);
  CHECK(gradient_error(layer, 1, 1) < 1e-7);
}

TEST_CASE("a tape of a Bidirectional can be used again for another size", "[models]") {
  const auto layer = randomized(Both());
  Tape<Both> tape;
  for (const Index time : {6, 2, 9}) {
    const auto x = random_sequence<double>(2, time, 3, 2);
    Sequence<double> y(2, time, 5), dx(2, time, 3);
    auto state = layer.initial_state(2);
    layer.forward(state, x, y, tape);
    CHECK(distance(y, scanned(layer, x)) < 1e-13);
    Both gradient = zeros_like(layer), fresh_gradient = gradient;
    auto dstart = layer.initial_state(2);
    layer.backward(tape, SequenceView<const double>(std::as_const(y)), layer.initial_state(2), gradient, dx, dstart);
    Tape<Both> fresh;
    Sequence<double> fresh_y(2, time, 5);
    auto fresh_state = layer.initial_state(2), fresh_dstart = fresh_state;
    layer.forward(fresh_state, x, fresh_y, fresh);
    layer.backward(fresh, SequenceView<const double>(std::as_const(y)), layer.initial_state(2), fresh_gradient, dx,
                   fresh_dstart);
    CHECK(numbers(gradient) == numbers(fresh_gradient));
  }
}

TEST_CASE("directions of a Bidirectional take the same inputs", "[models]") {
  using Any = Leaky<float, Dynamic>;
  CHECK_THROWS_AS(Bidirectional(Any(3), Any(4)), ShapeError);
  CHECK_THROWS_WITH(Bidirectional(Any(3), Any(4)), ContainsSubstring("Leaky [3 -> 3] and Leaky [4 -> 4]"));
}

TEST_CASE("a Bidirectional names its parameters and states by direction", "[models]") {
  std::vector<std::string> names;
  const Both layer;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, layer);
  CHECK(names == std::vector<std::string>{"forward.decay", "backward.0.weight", "backward.0.bias", "backward.1.decay"});
  names.clear();
  const auto state = layer.initial_state(1);
  for_each_tensor([&](const Path& path, const auto&) { names.push_back(path.str()); }, state);
  CHECK(names == std::vector<std::string>{"forward.h", "backward.1.h"});
}

TEST_CASE("a Bidirectional allocates nothing in a scan with a warm workspace, and needs no more for longer ones",
          "[models]") {
  const auto plan = prepare(randomized(Bidirectional<Lstm<double, 3, 9>>()));
  const auto x = random_sequence<double>(2, 2000, 3, 2);
  Sequence<double> y(2, 2000, 18);
  auto state = plan.initial_state(2);
  Workspace workspace;
  const SequenceView<const double, 3> in = x;
  const SequenceView<double, 18> out = y;
  plan.scan(state, in.slice(0, 300), out.slice(0, 300), workspace);
  plan.scan(state, in.slice(0, 300), out.slice(0, 300), workspace);
  const long before = allocation_count();
  plan.scan(state, in, out, workspace);
  CHECK(allocation_count() == before);
}
