#include <contract/decay_layers.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>

using namespace stepscan;
using testing::contract;
using testing::with_log_decays;

TEST_CASE("scalar_gated_attention: contract", "[contract]") {
  contract([] { return ScalarGatedAttentionScan<double, 2, 3, 5>(); }, with_log_decays(22));
}
