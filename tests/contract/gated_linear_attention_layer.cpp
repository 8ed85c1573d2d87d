#include <algorithm>
#include <contract/contract.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>

using namespace stepscan;
using testing::contract;

namespace {

/// The norm takes away the length of o. Where one key channel alone has a query (behind a strong silu), or where the
/// state holds one product k v^T (decays of 0), what q gets is therefore zero but for rounding, which no two forms
/// share. So queries stay of usual size here and decays have a lower limit; gated_linear_attention is held to its
/// contract without either.
const testing::Options options{.valid_parameter = [](const std::string& name, double value) {
  return name.starts_with("q_") ? std::clamp(value, -1.0, 1.0) : value;
}};

}  // namespace

TEST_CASE("gated_linear_attention_layer with short convolutions and shared heads: contract", "[contract]") {
  contract(
      [] {
        GatedLinearAttention<double, Dynamic, Dynamic, Dynamic, Dynamic, GlaOptions{.short_conv = true}> layer(
            {.model = 6, .heads = 4, .kv_heads = 2, .key_dim = 3, .value_dim = 2, .gate_rank = 2, .conv_width = 3});
        layer.log_gate.lowest = -2;
        return layer;
      },
      options);
}
