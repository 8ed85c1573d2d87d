#include <contract/contract.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/layers/projected.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("projected of dynamic sizes: contract", "[contract]") {
  contract([] { return Projected<MinGru<double, Dynamic, Dynamic>>(3, {7, 5}, 4); });
}
