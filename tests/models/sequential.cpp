#include <models/leaky.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/layers/conv1d_backward.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/residual.hpp>
#include <support/allocation.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Stack =
    Sequential<Linear<double, 3, 5>, Leaky<double, 5>, Tanh<double, 5>, Leaky<double, 5>, Linear<double, 5, 2>>;
using DynamicStack = Sequential<Linear<double, Dynamic, Dynamic>, Leaky<double, Dynamic>, Tanh<double, Dynamic>,
                                Leaky<double, Dynamic>, Linear<double, Dynamic, Dynamic>>;

Stack make_stack() {
  Stack stack;
  randomize(stack, 1);
  return stack;
}

DynamicStack make_dynamic_stack() {
  DynamicStack stack({3, 5}, Leaky<double, Dynamic>(5), Tanh<double, Dynamic>(5), Leaky<double, Dynamic>(5), {5, 2});
  copy_parameters(make_stack(), stack);
  return stack;
}

template <class L>
std::vector<std::string> parameter_names(const L& layer) {
  std::vector<std::string> names;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, layer);
  return names;
}

}  // namespace

TEST_CASE("a Sequential is its layers one behind the other", "[models]") {
  const Stack stack = make_stack();
  const auto x = random_sequence<double>(3, 700, 3, 2);
  Sequence<double> expected = x;
  const auto apply = [&](const auto& layer) { expected = scanned(layer, expected); };
  apply(stack.get<0>());
  apply(stack.get<1>());
  apply(stack.get<2>());
  apply(stack.get<3>());
  apply(stack.get<4>());
  CHECK(distance(scanned(stack, x), expected) < 1e-12);
  CHECK(distance(scanned(prepare(stack), x), expected) < 1e-12);
  CHECK(distance(scanned(make_dynamic_stack(), x), expected) < 1e-12);
  CHECK(distance(scanned(prepare(make_dynamic_stack()), x), expected) < 1e-12);
}

TEST_CASE("a Recurrent scan of a Sequential is its repeated step, bit for bit", "[models]") {
  const auto check_one = [](const auto& model) {
    const auto x = random_sequence<double>(2, 300, 3, 2);
    const auto whole = scanned(model, x, Recurrent{});
    Sequence<double> y(whole.shape());
    auto state = model.initial_state(2);
    for (Index t = 0; t < 300; ++t)
      model.step(state, SequenceView<const double>(x).frame(t), SequenceView<double>(y).frame(t));
    CHECK(y == whole);
  };
  check_one(make_stack());
  check_one(prepare(make_stack()));
  check_one(prepare(make_dynamic_stack()));
}

TEST_CASE("a Sequential may be split anywhere, in any mixture of forms", "[models]") {
  const Stack stack = make_stack();
  const auto plan = prepare(stack);
  const auto x = random_sequence<double>(2, 20, 3, 2);
  auto end = stack.initial_state(2);
  Sequence<double> whole(2, 20, 2);
  stack.scan(end, x, whole);
  for (Index at = 0; at <= 20; ++at) {
    Sequence<double> y(2, 20, 2);
    const SequenceView<const double> in = x;
    const SequenceView<double> out = y;
    auto state = stack.initial_state(2);
    stack.scan(state, in.slice(0, at), out.slice(0, at), Chunked<3>{});
    plan.scan(state, in.slice(at, 20 - at), out.slice(at, 20 - at), Recurrent{});
    CHECK(distance(y, whole) < 1e-12);
    CHECK(distance(numbers(state), numbers(end)) < 1e-12);
  }
}

TEST_CASE("sequences of no tokens and batches of no members", "[models]") {
  const Stack stack = make_stack();
  for (const auto& [batch, time] : std::vector<std::pair<Index, Index>>{{0, 5}, {2, 0}, {0, 0}, {2, 1}}) {
    const auto x = random_sequence<double>(batch, time, 3, 2);
    CHECK(scanned(stack, x).size() == batch * time * 2);
  }
}

TEST_CASE("padding is not read by a Sequential, and becomes zero", "[models]") {
  const Stack stack = make_stack();
  auto x = random_sequence<double>(3, 600, 3, 2);
  const std::vector<Index> lengths{600, 0, 257};
  const auto clean = scanned(stack, x);
  spoil_padding(x, lengths);
  Sequence<double> y(3, 600, 2);
  y.fill(7);
  auto state = stack.initial_state(3);
  stack.scan(state, SequenceView<const double, 3>(std::as_const(x)).ragged(lengths), y);
  for (Index b = 0; b < 3; ++b) {
    for (Index t = 0; t < 600; ++t) {
      const bool real = t < lengths[static_cast<std::size_t>(b)];
      REQUIRE(y(b, t, 0) == Approx(real ? clean(b, t, 0) : 0).margin(1e-12));
    }
  }
  auto alone = stack.initial_state(1);
  Sequence<double> short_y(1, 257, 2);
  stack.scan(alone, SequenceView<const double, 3>(std::as_const(x)).members(2, 1).slice(0, 257), short_y);
  auto row = stack.initial_state(1);
  for_each_tensor([](const Path&, auto& to, const auto& from) { std::copy_n(&from(2, 0), to.size(), to.begin()); }, row,
                  state);
  CHECK(distance(numbers(row), numbers(alone)) < 1e-12);
}

TEST_CASE("the memory of a causal stack does not grow with the sequence", "[models]") {
  const Stack stack = make_stack();
  CHECK(testing::scan_memory(stack, 1, 20000) == testing::scan_memory(stack, 1, 600));
}

TEST_CASE("a Sequential allocates nothing in step, nor in a scan with a warm workspace", "[models]") {
  const auto plan = prepare(make_dynamic_stack());
  const auto x = random_sequence<double>(2, 600, 3, 2);
  Sequence<double> y(2, 600, 2);
  auto state = plan.initial_state(2);
  Workspace workspace;
  plan.scan(state, x, y, workspace);
  const long before = allocation_count();
  plan.scan(state, x, y, workspace);
  plan.step(state, SequenceView<const double>(x).frame(0), SequenceView<double>(y).frame(0));
  auto copy = state;
  const long copied = allocation_count();
  copy = state;
  CHECK(allocation_count() == copied);
  CHECK(copied - before <= 3);
}

TEST_CASE("parameters and states are named by the position of their layer", "[models]") {
  CHECK(parameter_names(make_stack()) ==
        std::vector<std::string>{"0.weight", "0.bias", "1.decay", "3.decay", "4.weight", "4.bias"});
  std::vector<std::string> names;
  const auto state = make_stack().initial_state(1);
  for_each_tensor([&](const Path& path, const auto&) { names.push_back(path.str()); }, state);
  CHECK(names == std::vector<std::string>{"1.h", "3.h"});
  const Sequential<Residual<Leaky<float, 2>>, Sequential<Leaky<float, 2>, Leaky<float, 2>>> nested;
  CHECK(parameter_names(nested) == std::vector<std::string>{"0.0.decay", "1.0.decay", "1.1.decay"});
}

TEST_CASE("layers are initialised one after another", "[models]") {
  Sequential<Leaky<double, 4>, Leaky<double, 4>> stack;
  initialize(stack, 9);
  Random random(9);
  for (const double value : numbers(stack)) CHECK(value == random.uniform(0, 1));
}

TEST_CASE("a Sequential has the forms that all of its layers have", "[models]") {
  using Gates = Sequential<Lstm<float, 3, 4>, Tanh<float, 4>, Gru<float, 4, 4>>;
  STATIC_REQUIRE(has_form<Gates, Newton<Jacobian::full>>);
  STATIC_REQUIRE(has_form<Gates, Chunked<16>>);
  using Mixed = Sequential<Tanh<float, 4>, Lstm<float, 4, 4>, Leaky<float, 4>>;
  STATIC_REQUIRE(has_form<Mixed, Recurrent>);
  STATIC_REQUIRE(has_form<Mixed, Chunked<16>>);
  STATIC_REQUIRE(has_form<Mixed, OwnForm>);
  STATIC_REQUIRE_FALSE(has_form<Mixed, Newton<Jacobian::full>>);
  STATIC_REQUIRE_FALSE(has_form<Mixed, Convolution>);
  using Any = Sequential<Tanh<float, 4>, Linear<float, 4, 2>>;
  STATIC_REQUIRE(Any::any_form);
  STATIC_REQUIRE(has_form<Any, Convolution>);
  STATIC_REQUIRE_FALSE(Mixed::any_form);
  STATIC_REQUIRE(Mixed::causal);
  STATIC_REQUIRE_FALSE(Sequential<Conv1d<float, 2, 2, 3>, Tanh<float, 2>>::causal);
  STATIC_REQUIRE_FALSE(Sequential<Conv1d<float, 2, 2, 3>, Tanh<float, 2>>::keeps_time);
  STATIC_REQUIRE(std::is_same_v<decltype(prepare(std::declval<Gates>()))::State, Gates::State>);
}

TEST_CASE("the report of a Newton scan sums up the layers and blocks", "[models]") {
  Sequential<Gru<double, 3, 4>, Tanh<double, 4>, Gru<double, 4, 5>> stack;
  randomize(stack, 1);
  const auto x = random_sequence<double>(2, 300, 3, 2);
  const auto expected = scanned(stack, x, Recurrent{});
  NewtonReport first, second, total;
  const auto between = scanned(stack.get<1>(), scanned(stack.get<0>(), x, Newton<>{.report = &first}));
  static_cast<void>(scanned(stack.get<2>(), between, Newton<>{.report = &second}));
  CHECK(distance(scanned(stack, x, Newton<>{.report = &total}), expected) < 1e-8);
  CHECK(total.iterations > 1);
  CHECK(total.iterations == std::max(first.iterations, second.iterations));
  CHECK(total.residual > 0);
  CHECK_FALSE(total.fell_back);
  CHECK(distance(scanned(stack, x, Newton<>{.max_iterations = 1, .report = &total}), expected) < 1e-8);
  CHECK(total.fell_back);
  CHECK(distance(scanned(stack, x, Newton<>{}), expected) < 1e-8);
}

TEST_CASE("blocks are whole chunks, and whole sequences where they must be", "[models]") {
  STATIC_REQUIRE(Stack::block_tokens<Recurrent> == 256);
  STATIC_REQUIRE(Stack::block_tokens<Chunked<100>> == 300);
  STATIC_REQUIRE(Stack::block_tokens<Chunked<1000>> == 1000);
  STATIC_REQUIRE(Sequential<Stack>::block_tokens<Chunked<100>> == 300);
  STATIC_REQUIRE(Sequential<Leaky<float, 2, Parallel<>>, Tanh<float, 2>>::block_tokens<OwnForm> ==
                 detail::whole_sequence);
  STATIC_REQUIRE(Sequential<Conv1d<float, 2, 2, 3>>::block_tokens<OwnForm> == detail::whole_sequence);
}

TEST_CASE("sizes that do not meet are refused, and both layers named", "[models]") {
  const auto make = [] { return Sequential(Linear<float, Dynamic, Dynamic>(3, 5), Leaky<float, Dynamic>(4)); };
  CHECK_THROWS_AS(make(), ShapeError);
  CHECK_THROWS_WITH(
      make(), "Sequential: layer 0, Linear [3 -> 5], has 5 outputs, but layer 1, Leaky [4 -> 4], expects 4 inputs");
  const Stack stack;
  auto state = stack.initial_state(2);
  Sequence<double> y(2, 4, 2);
  CHECK_THROWS_WITH(stack.scan(state, SequenceView<const double, 3>(random_sequence<double>(3, 4, 3, 1)), y),
                    ContainsSubstring("Sequential [3 -> 2]") && ContainsSubstring("3, found 2"));
}

TEST_CASE("gradients of a Sequential equal finite differences", "[models]") {
  CHECK(gradient_error(make_stack(), 2, 6) < 1e-7);
  CHECK(gradient_error(make_stack(), 3, 5, {5, 0, 2}) < 1e-7);
  CHECK(gradient_error(make_dynamic_stack(), 2, 4) < 1e-7);
  CHECK(gradient_error(make_stack(), 2, 0) < 1e-7);
  CHECK(gradient_error(make_stack(), 0, 3) < 1e-7);
  CHECK(gradient_error(Sequential<Leaky<double, 3>>(), 2, 3) < 1e-7);
}

TEST_CASE("layers that change the number of tokens", "[models]") {
  using Conv = Conv1d<double, Dynamic, Dynamic, Dynamic>;
  Sequential stack(Conv(3, 4, 3, {.stride = 2, .left = 1, .right = 1}), Tanh<double, 4>(), Leaky<double, 4>(),
                   Conv(4, 2, 2), Linear<double, 2, 2>());
  randomize(stack, 1);
  const auto x = random_sequence<double>(3, 21, 3, 2);
  CHECK(stack.output_time(21) == 10);
  const auto whole = scanned(stack, x);
  CHECK(distance(scanned(prepare(stack), x), whole) < 1e-12);
  const std::vector<Index> lengths{21, 0, 8};
  auto spoilt = x;
  spoil_padding(spoilt, lengths);
  Sequence<double> y(3, 10, 2);
  y.fill(7);
  auto state = stack.initial_state(3);
  stack.scan(state, SequenceView<const double, Dynamic>(std::as_const(spoilt)).ragged(lengths), y);
  Sequence<double> alone(1, 8, 3);
  for (Index t = 0; t < 8; ++t) std::copy_n(&x(2, t, 0), 3, &alone(0, t, 0));
  const auto expected = scanned(stack, alone);
  REQUIRE(expected.extent(1) == 3);
  for (Index t = 0; t < 10; ++t) {
    CHECK(y(0, t, 1) == Approx(whole(0, t, 1)).margin(1e-13));
    CHECK(y(1, t, 1) == 0);
    CHECK(y(2, t, 1) == Approx(t < 3 ? expected(0, t, 1) : 0).margin(1e-13));
  }
  CHECK(gradient_error(stack, 2, 9) < 1e-7);
  CHECK(gradient_error(stack, 3, 9, {9, 0, 6}) < 1e-7);
}
