#include <stepscan/layers/group_norm.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

TEST_CASE("a GroupNorm is a LayerNorm of every group", "[layers]") {
  GroupNorm<double, 12, 3> layer;
  randomize(layer, 1);
  const auto x = random_sequence<double>(2, 5, 12, 2);
  const auto y = scanned(layer, x);
  for (Index g = 0; g < 3; ++g) {
    LayerNorm<double, 4> group;
    std::copy_n(&layer.weight[4 * g], 4, group.weight.data());
    std::copy_n(&layer.bias[4 * g], 4, group.bias.data());
    Sequence<double> part(2, 5, 4);
    auto state = group.initial_state(2);
    group.scan(state, SequenceView<const double>(x).middle_features<4>(4 * g, {}), part);
    for (Index t = 0; t < 10; ++t) CHECK(std::equal(&part[4 * t], &part[4 * t] + 4, &y[12 * t + 4 * g]));
  }
  GroupNorm<double, Dynamic, Dynamic> dynamic(12, 3);
  copy_parameters(layer, dynamic);
  CHECK(distance(scanned(dynamic, x), y) == 0);
  CHECK(distance(scanned(prepare(dynamic), x), y) == 0);
}

TEST_CASE("features that are no multiple of the groups are refused", "[layers]") {
  using Norm = GroupNorm<float, Dynamic, Dynamic>;
  CHECK_THROWS_AS(Norm(10, 3), ShapeError);
  CHECK_THROWS_WITH(Norm(10, 3), ContainsSubstring("10 features in 3 groups"));
  CHECK_THROWS_AS(Norm(10, 0), ShapeError);
}

TEST_CASE("gradients of a GroupNorm equal finite differences", "[layers]") {
  GroupNorm<double, 10, 2> layer;
  randomize(layer, 1);
  CHECK(gradient_error(layer, 2, 3) < 1e-7);
  CHECK(gradient_error(layer, 3, 4, {4, 0, 2}) < 1e-7);
}
