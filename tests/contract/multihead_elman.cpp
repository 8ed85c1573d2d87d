#include <contract/contract.hpp>
#include <stepscan/layers/multihead_elman.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("multihead elman: contract", "[contract]") {
  contract([] { return MultiheadElman<double, 3, 2, 5>(); });
}

TEST_CASE("multihead elman of dynamic sizes: contract", "[contract]") {
  contract([] { return MultiheadElman<double, Dynamic, Dynamic, Dynamic>(5, 3, 3); });
}

TEST_CASE("multihead elman on gates: contract", "[contract]") {
  contract([] { return MultiheadElmanOnGates<double, 2, 3>(); });
}

TEST_CASE("multihead elman on gates of dynamic sizes, in float: contract", "[contract]") {
  contract([] { return MultiheadElmanOnGates<float, Dynamic, Dynamic>(2, 5); });
}
