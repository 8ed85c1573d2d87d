#include <contract/contract.hpp>
#include <stepscan/layers/slstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("slstm: contract", "[contract]") {
  contract([] { return Slstm<double, 3, 2, 5>(); });
}

TEST_CASE("slstm of dynamic sizes with a floor of one: contract", "[contract]") {
  contract([] { return Slstm<double, Dynamic, Dynamic, Dynamic, NormalizerFloor::one>(5, 3, 3); });
}
