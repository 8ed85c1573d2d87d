#include <contract/contract.hpp>
#include <stepscan/layers/linear_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("linear_attention, normalised: contract", "[contract]") {
  contract([] { return LinearAttentionScan<double, 2, 3, 5>(); }, {.positive_state = "z"});
}
