#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>

#include "train.hpp"

std::vector<examples::Entry> examples::recurrent_models() {
  using stepscan::Dynamic;
  return {
      entry("lstm", [](const Settings& s) { return stepscan::Lstm<float, Dynamic, Dynamic>(s.width, s.width); }),
      entry(
          "slstm",
          [](const Settings& s) { return stepscan::Slstm<float, Dynamic, Dynamic, Dynamic>(s.width, 4, s.width / 4); }),
      entry("gla",
            [](const Settings& s) {
              return stepscan::GatedLinearAttention<float, Dynamic, Dynamic, Dynamic, Dynamic>(
                  {.model = s.width, .heads = 4, .kv_heads = 4, .key_dim = s.width / 8, .value_dim = s.width / 4});
            }),
  };
}
