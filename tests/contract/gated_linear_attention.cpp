#include <contract/decay_layers.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>

using namespace stepscan;
using testing::contract;
using testing::with_log_decays;

TEST_CASE("gated_linear_attention of dynamic sizes: contract", "[contract]") {
  contract([] { return GatedLinearAttentionScan<double, Dynamic, Dynamic, Dynamic>(2, 5, 7); }, with_log_decays(34));
}

TEST_CASE("gated_linear_attention in float: contract", "[contract]") {
  contract([] { return GatedLinearAttentionScan<float, 3, 4, 9>(); }, with_log_decays(51));
}
