#include <contract/contract.hpp>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/linear.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("linear: contract", "[contract]") {
  contract([] { return Linear<double, 5, 7>(); });
}

TEST_CASE("linear of dynamic sizes, without a bias: contract", "[contract]") {
  contract([] { return Linear<double, Dynamic, Dynamic, false>(3, 13); });
}

TEST_CASE("activation: contract", "[contract]") {
  contract([] { return Gelu<double, Dynamic>(5); });
}
