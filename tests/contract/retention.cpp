#include <contract/contract.hpp>
#include <stepscan/layers/retention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("retention: contract", "[contract]") {
  contract([] { return RetentionScan<double, 3, 5, 2>(); });
}
