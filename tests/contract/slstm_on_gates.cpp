#include <contract/contract.hpp>
#include <stepscan/layers/slstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("slstm on gates with a floor of one: contract", "[contract]") {
  contract([] { return SlstmOnGates<double, 2, 3, NormalizerFloor::one>(); });
}

TEST_CASE("slstm on gates of dynamic sizes: contract", "[contract]") {
  contract([] { return SlstmOnGates<double, Dynamic, Dynamic>(1, 5); });
}

TEST_CASE("slstm on gates in float: contract", "[contract]") {
  contract([] { return SlstmOnGates<float, 2, 5>(); });
}
