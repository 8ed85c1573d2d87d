#include <contract/contract.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/residual.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("residual: contract", "[contract]") {
  contract([] { return Residual<Gru<double, 3, 5>, Linear<double, 5, 3>>(); });
}
