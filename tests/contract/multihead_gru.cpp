#include <contract/contract.hpp>
#include <stepscan/layers/multihead_gru.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("multihead gru: contract", "[contract]") {
  contract([] { return MultiheadGru<double, 3, 2, 5>(); });
}

TEST_CASE("multihead gru of dynamic sizes: contract", "[contract]") {
  contract([] { return MultiheadGru<double, Dynamic, Dynamic, Dynamic>(5, 3, 3); });
}

TEST_CASE("multihead gru on gates: contract", "[contract]") {
  contract([] { return MultiheadGruOnGates<double, 2, 3>(); });
}

TEST_CASE("multihead gru on gates of dynamic sizes, in float: contract", "[contract]") {
  contract([] { return MultiheadGruOnGates<float, Dynamic, Dynamic>(2, 5); });
}
