#include <contract/contract.hpp>
#include <stepscan/layers/gru.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("gru that resets before the product: contract", "[contract]") {
  contract([] { return Gru<double, 5, 7, Reset::before>(); });
}

TEST_CASE("gru that resets before the product, relu, dynamic sizes: contract", "[contract]") {
  contract([] { return Gru<double, Dynamic, Dynamic, Reset::before, ReluActivation>(3, 5); });
}

TEST_CASE("gru that resets before the product, in float: contract", "[contract]") {
  contract([] { return Gru<float, 3, 13, Reset::before>(); });
}
