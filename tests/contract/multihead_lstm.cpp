#include <contract/contract.hpp>
#include <stepscan/layers/multihead_lstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("multihead lstm: contract", "[contract]") {
  contract([] { return MultiheadLstm<double, 3, 2, 5>(); });
}

TEST_CASE("multihead lstm of dynamic sizes: contract", "[contract]") {
  contract([] { return MultiheadLstm<double, Dynamic, Dynamic, Dynamic>(5, 3, 3); });
}

TEST_CASE("multihead lstm on gates: contract", "[contract]") {
  contract([] { return MultiheadLstmOnGates<double, 2, 3>(); });
}

TEST_CASE("multihead lstm on gates of dynamic sizes, in float: contract", "[contract]") {
  contract([] { return MultiheadLstmOnGates<float, Dynamic, Dynamic>(2, 5); });
}
