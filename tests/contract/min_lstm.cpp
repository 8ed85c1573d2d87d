#include <contract/contract.hpp>
#include <stepscan/layers/min_lstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("min_lstm: contract", "[contract]") {
  contract([] { return MinLstm<double, 5, 7>(); });
}

TEST_CASE("min_lstm of dynamic sizes with free gates: contract", "[contract]") {
  contract([] { return MinLstm<double, Dynamic, Dynamic, IdentityCandidate, false>(3, 13); });
}

TEST_CASE("min_lstm in float: contract", "[contract]") {
  contract([] { return MinLstm<float, 3, 13>(); });
}
