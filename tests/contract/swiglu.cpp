#include <contract/contract.hpp>
#include <stepscan/layers/swiglu.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("swiglu of dynamic sizes: contract", "[contract]") {
  contract([] { return SwiGlu<double, Dynamic, Dynamic>(5, 13); });
}

TEST_CASE("swiglu in float: contract", "[contract]") {
  contract([] { return SwiGlu<float, 3, 7>(); });
}
