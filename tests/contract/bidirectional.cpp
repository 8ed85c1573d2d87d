#include <contract/contract.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/bidirectional.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("bidirectional: contract", "[contract]") {
  contract([] { return Bidirectional<Lstm<double, 3, 5>, Gru<double, 3, 4>>(); });
}
