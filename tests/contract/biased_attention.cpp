#include <contract/contract.hpp>
#include <stepscan/layers/biased_attention.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("biased_attention, keys with values: contract", "[contract]") {
  contract([] {
    return BiasedAttentionScan<double, Dynamic, Dynamic, Dynamic, Dynamic, AttentionBias::key_value>({2, 2, 3, 2}, 9);
  });
}
