#include <contract/contract.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/models/checkpoint.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("checkpoint: contract", "[contract]") {
  contract([] { return Checkpoint<3, Sequential<MinGru<double, 3, 5>, Linear<double, 5, 4>>>(); });
}
