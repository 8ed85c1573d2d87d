#include <contract/contract.hpp>
#include <stepscan/layers/causal_conv1d.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("causal_conv1d: contract", "[contract]") {
  contract([] { return CausalConv1d<double, 7, 4>(); });
}

TEST_CASE("causal_conv1d in float, of dynamic sizes, without a bias or an activation: contract", "[contract]") {
  contract([] { return CausalConv1d<float, Dynamic, Dynamic, false, IdentityActivation>(13, 3); });
}
