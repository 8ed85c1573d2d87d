#include <contract/contract.hpp>
#include <stepscan/layers/dropout.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("dropout: contract", "[contract]") {
  contract([] { return Dropout<double, Dynamic>(5, 0.3); });
}
