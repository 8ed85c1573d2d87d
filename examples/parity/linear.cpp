#include <stepscan/layers/affine_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/min_gru.hpp>

#include "network.hpp"

std::vector<examples::Entry> examples::linear_recurrences() {
  constexpr Index n = model_features;
  using Gla = stepscan::GatedLinearAttention<float, n, 2, n / 2, n / 2>;
  return {
      entry("minGRU", false, [] { return stepscan::MinGru<float, n, n>(); }),
      entry("GLA", false,
            [] {
              return Gla({.model = n, .heads = 2, .kv_heads = 2, .key_dim = n / 2, .value_dim = n / 2, .gate_rank = 4});
            }),
      entry("Mamba", false, [] { return stepscan::Mamba<float, n, 2 * n, 8, 4, 1>(); }),
  };
}
