#include <contract/contract.hpp>
#include <stepscan/layers/group_norm.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/rms_norm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("rms_norm of dynamic size: contract", "[contract]") {
  contract([] { return RmsNorm<double, Dynamic>(13); });
}

TEST_CASE("layer_norm in float: contract", "[contract]") {
  contract([] { return LayerNorm<float, 7>(); });
}

TEST_CASE("group_norm of dynamic sizes: contract", "[contract]") {
  contract([] { return GroupNorm<double, Dynamic, Dynamic>(15, 3); });
}
