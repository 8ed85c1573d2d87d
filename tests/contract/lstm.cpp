#include <contract/contract.hpp>
#include <stepscan/layers/lstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("lstm: contract", "[contract]") {
  contract([] { return Lstm<double, 5, 7>(); });
}

TEST_CASE("lstm of dynamic sizes: contract", "[contract]") {
  contract([] { return Lstm<double, Dynamic, Dynamic>(3, 13); });
}

TEST_CASE("lstm in float: contract", "[contract]") {
  contract([] { return Lstm<float, 3, 13>(); });
}
