#include <contract/contract.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>

using namespace stepscan;
using testing::contract;

TEST_CASE("gated_linear_attention_layer with short convolutions and shared heads: contract", "[contract]") {
  contract([] {
    return GatedLinearAttention<double, Dynamic, Dynamic, Dynamic, Dynamic, GlaOptions{.short_conv = true}>(
        {.model = 6, .heads = 4, .kv_heads = 2, .key_dim = 3, .value_dim = 2, .gate_rank = 2, .conv_width = 3});
  });
}
