#include <contract/contract.hpp>
#include <stepscan/layers/mlstm.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("mlstm: contract", "[contract]") {
  contract([] { return MlstmScan<double, Dynamic, Dynamic, Dynamic>(2, 3, 5); });
}
