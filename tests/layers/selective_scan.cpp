#include <stepscan/layers/selective_scan.hpp>
#include <support/catch.hpp>
#include <support/sequences.hpp>

using namespace stepscan;
using namespace stepscan::testing;

TEST_CASE("selective_scan refuses sizes that do not fit", "[selective_scan]") {
  using Dynamics = SelectiveScan<float, Dynamic, Dynamic, Dynamic>;
  CHECK_THROWS_WITH(Dynamics(7, 4, 2), ContainsSubstring("7 features and 2 groups"));
  CHECK_THROWS_AS(Dynamics(7, 4, 0), ShapeError);
  CHECK_THROWS_AS((SelectiveScan<float, 6, 4>(5, 4)), ShapeError);
  const Dynamics layer(6, 4, 2);
  CHECK(layer.input_size() == 3 * 6 + 2 * 8);
  auto state = layer.initial_state(1);
  Sequence<float> y(1, 2, 6);
  CHECK_THROWS_WITH(layer.scan(state, random_sequence<float>(1, 2, 33, 1), y),
                    ContainsSubstring("expected input features 34, found 33"));
}

TEST_CASE("selective_scan: options decide which parameters and inputs there are", "[selective_scan]") {
  const SelectiveScan<float, Dynamic, Dynamic> bare(
      6, 4, 1, {.delta_bias = false, .skip = false, .gate = false, .variable_B = false, .variable_C = false});
  CHECK(bare.input_size() == 12);
  CHECK((bare.D.empty() && bare.delta_bias.empty() && bare.B.size() == 24 && bare.C.size() == 24));
}

TEST_CASE("a complex selective_scan starts as S4D-Lin, its tensors named re and im", "[selective_scan]") {
  ComplexSelectiveScan<float, 5, 3> layer;
  initialize(layer, 4);
  CHECK(layer.input_size() == 3 * 5 + 4 * 3);
  CHECK((layer.A.re(4, 2) == -0.5F && layer.A.im(4, 2) == Approx(6.2831853F)));
  std::vector<std::string> names;
  for_each_parameter(
      [&](const Path& path, const auto& tensor) {
        if (!tensor.empty()) names.push_back(path.str());
      },
      layer);
  CHECK(names == std::vector<std::string>{"A.re", "A.im", "D", "delta_bias"});
}

TEST_CASE("selective_scan starts as S4D-Real with step sizes of 0.001 to 0.1", "[selective_scan]") {
  SelectiveScan<float, 50, 3> layer;
  initialize(layer, 4);
  CHECK((layer.A(49, 0) == -1 && layer.A(49, 2) == -3 && layer.D[3] == 1));
  for (const float bias : layer.delta_bias) {
    const double dt = std::log1p(std::exp(static_cast<double>(bias)));
    CHECK((dt > 0.00099 && dt < 0.1001));
  }
}
