#include <contract/contract.hpp>
#include <stepscan/layers/s4_backward.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("s4: contract", "[contract]") {
  contract([] { return S4<double, 3, 4>(); });
}
