#include <contract/contract.hpp>
#include <stepscan/layers/dss_backward.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("dss: contract", "[contract]") {
  contract([] { return Dss<double, 3, 5>({.kernel_length = 20}); });
}
