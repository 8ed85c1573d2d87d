#include <contract/contract.hpp>
#include <stepscan/layers/aaren.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("aaren of dynamic sizes: contract", "[contract]") {
  contract([] { return Aaren<double, Dynamic, Dynamic>(6, 2); }, {.positive_state = "u"});
}
