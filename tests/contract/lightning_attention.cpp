#include <contract/contract.hpp>
#include <stepscan/layers/lightning_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("lightning_attention: contract", "[contract]") {
  contract([] { return LightningAttentionScan<float, 2, 5, 9>(); });
}
