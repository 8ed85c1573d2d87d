#include <contract/contract.hpp>
#include <stepscan/layers/softmax_scan.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("softmax_scan: contract", "[contract]") {
  contract([] { return SoftmaxScan<double, 2, 5>(); }, {.positive_state = "u"});
}
