#include <contract/contract.hpp>
#include <stepscan/layers/gru.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("gru: contract", "[contract]") {
  contract([] { return Gru<double, 5, 7>(); });
}

TEST_CASE("gru of dynamic sizes: contract", "[contract]") {
  contract([] { return Gru<double, Dynamic, Dynamic>(3, 13); });
}

TEST_CASE("gru with a relu candidate: contract", "[contract]") {
  contract([] { return Gru<double, 3, 5, Reset::after, ReluActivation>(); });
}
