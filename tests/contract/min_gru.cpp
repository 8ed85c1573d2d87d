#include <contract/contract.hpp>
#include <stepscan/layers/min_gru.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("min_gru: contract", "[contract]") {
  contract([] { return MinGru<double, 5, 7>(); });
}

TEST_CASE("min_gru of dynamic sizes with the identity candidate: contract", "[contract]") {
  contract([] { return MinGru<double, Dynamic, Dynamic, IdentityCandidate>(3, 13); });
}

TEST_CASE("min_gru in float: contract", "[contract]") {
  contract([] { return MinGru<float, 3, 13>(); });
}
