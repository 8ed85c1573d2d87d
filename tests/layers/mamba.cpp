#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

namespace {

using Block = Mamba<double, Dynamic, Dynamic, Dynamic, Dynamic, Dynamic>;

}  // namespace

TEST_CASE("mamba: blocks of tokens change nothing, and memory does not grow with the sequence", "[mamba]") {
  Block layer(5, 9, 3, 4, 2);
  initialize(layer, 1);
  const auto plan = prepare(layer);
  const auto x = random_sequence<double>(2, 600, 5, 3);
  const auto expected = scanned(plan, x, Recurrent{});
  CHECK(distance(scanned(plan, x, Chunked<>{}), expected) < 1e-13);
  CHECK(distance(scanned(plan, x, Chunked<100>{}), expected) < 1e-13);
  CHECK(distance(scanned(plan, x, Parallel<100>{}), expected) < 1e-13);
  CHECK(distance(scanned(layer, x), expected) < 1e-13);
  CHECK(testing::scan_memory(plan, 2, 600) == testing::scan_memory(plan, 2, 256));
}

TEST_CASE("mamba: gradients are finite differences", "[mamba]") {
  Block layer(3, 5, 2, 3, 2);
  initialize(layer, 1);
  CHECK(gradient_error(layer, 2, 5) < 1e-8);
  CHECK(gradient_error(layer, 3, 4, {4, 1, 0}) < 1e-8);
  Mamba<double, 3, 4, 2, 1, 1, MambaBiases{.projections = true, .conv = false}> other;
  initialize(other, 2);
  CHECK(gradient_error(other, 1, 4) < 1e-8);
}

TEST_CASE("mamba starts as its paper does", "[mamba]") {
  Mamba<double, 8, 300, 4, 4, 9> layer;
  initialize(layer, 1);
  CHECK(layer.A_log(299, 3) == Approx(std::log(4.0)));
  CHECK(layer.D[7] == 1);
  for (const double bias : layer.dt_proj.bias) {
    const double dt = std::log1p(std::exp(bias));
    CHECK((dt > 0.00099 && dt < 0.1001));
  }
  const auto [low, high] = std::minmax_element(layer.dt_proj.weight.begin(), layer.dt_proj.weight.end());
  CHECK((*low >= -1.0 / 3 && *low < -0.33 && *high <= 1.0 / 3 && *high > 0.33));
}

TEST_CASE("mamba refuses sizes that do not fit", "[mamba]") {
  CHECK_THROWS_AS((Mamba<float, 4, 8, 2, 4, 1>(4, 9, 2, 4, 1)), ShapeError);
  Block layer(5, 9, 3, 4, 2);
  auto state = layer.initial_state(1);
  Sequence<double> y(1, 2, 5);
  CHECK_THROWS_WITH(layer.scan(state, random_sequence<double>(1, 2, 9, 1), y),
                    ContainsSubstring("expected input features 5"));
}
