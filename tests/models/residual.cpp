#include <models/leaky.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/residual.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Block = Residual<Linear<double, 3, 5>, Leaky<double, 5>, Linear<double, 5, 3>>;

Block make_block() {
  Block block;
  randomize(block, 1);
  return block;
}

}  // namespace

TEST_CASE("a Residual adds its input to what its layers make of it", "[models]") {
  const Block block = make_block();
  const auto x = random_sequence<double>(2, 300, 3, 2);
  auto expected = scanned(block.inner, x);
  for (Index i = 0; i < x.size(); ++i) expected[i] += x[i];
  CHECK(distance(scanned(block, x), expected) < 1e-13);
  CHECK(distance(scanned(prepare(block), x), expected) < 1e-12);
}

TEST_CASE("a Recurrent scan of a Residual is its repeated step, bit for bit, split anywhere", "[models]") {
  const auto plan = prepare(make_block());
  const auto x = random_sequence<double>(2, 12, 3, 2);
  const auto whole = scanned(plan, x, Recurrent{});
  Sequence<double> y(whole.shape());
  const SequenceView<const double> in = x;
  const SequenceView<double> out = y;
  auto state = plan.initial_state(2);
  for (Index t = 0; t < 12; ++t) plan.step(state, in.frame(t), out.frame(t));
  CHECK(y == whole);
  for (Index at = 0; at <= 12; ++at) {
    auto part = plan.initial_state(2);
    plan.scan(part, in.slice(0, at), out.slice(0, at), Recurrent{});
    plan.scan(part, in.slice(at, 12 - at), out.slice(at, 12 - at), Recurrent{});
    CHECK(y == whole);
  }
}

TEST_CASE("padding of a Residual is not read and becomes zero", "[models]") {
  const Block block = make_block();
  auto x = random_sequence<double>(3, 300, 3, 2);
  const auto clean = scanned(block, x);
  const std::vector<Index> lengths{300, 0, 270};
  spoil_padding(x, lengths);
  Sequence<double> y(3, 300, 3);
  auto state = block.initial_state(3);
  block.scan(state, SequenceView<const double, 3>(std::as_const(x)).ragged(lengths), y);
  for (Index b = 0; b < 3; ++b) {
    for (Index t = 0; t < 300; ++t) {
      REQUIRE(y(b, t, 2) == Approx(t < lengths[static_cast<std::size_t>(b)] ? clean(b, t, 2) : 0).margin(1e-13));
    }
  }
}

TEST_CASE("gradients of a Residual equal finite differences", "[models]") {
  CHECK(gradient_error(make_block(), 2, 5) < 1e-7);
  CHECK(gradient_error(make_block(), 3, 5, {5, 0, 2}) < 1e-7);
  CHECK(gradient_error(make_block(), 2, 0) < 1e-7);
  CHECK(gradient_error(Residual(Residual(Leaky<double, Dynamic>(3)), Tanh<double, Dynamic>(3)), 2, 4) < 1e-7);
}

TEST_CASE("a Residual names its layers as a Sequential does", "[models]") {
  std::vector<std::string> names;
  const Block block;
  for_each_parameter([&](const Path& path, const auto&) { names.push_back(path.str()); }, block);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "1.decay", "2.weight", "2.bias"});
}

TEST_CASE("a Residual gives back as many features as it takes", "[models]") {
  CHECK_THROWS_AS(Residual(Linear<float, Dynamic, Dynamic>(3, 4)), ShapeError);
  CHECK_THROWS_WITH(Residual(Linear<float, Dynamic, Dynamic>(3, 4)), ContainsSubstring("Sequential [3 -> 4]"));
}

TEST_CASE("static properties of a Residual are those of its layers", "[models]") {
  STATIC_REQUIRE(Block::causal);
  STATIC_REQUIRE_FALSE(Block::any_form);
  STATIC_REQUIRE(Residual<Tanh<float, 3>>::any_form);
  STATIC_REQUIRE(std::is_same_v<Block::Forms, std::tuple<Recurrent, Chunked<>>>);
  STATIC_REQUIRE(std::is_same_v<decltype(Residual(Sequential<Tanh<float, 3>>())), Residual<Tanh<float, 3>>>);
}
