#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/layers/slstm.hpp>
#include <stepscan/models/repeat.hpp>

#include "train.hpp"

std::vector<examples::Entry> examples::recurrent_models() {
  using stepscan::Dynamic;
  return {
      entry("lstm", [](Index width) { return stepscan::Lstm<float, Dynamic, Dynamic>(width, width); }),
      entry("slstm",
            [](Index width) { return stepscan::Slstm<float, Dynamic, Dynamic, Dynamic>(width, 4, width / 4); }),
      entry("gla",
            [](Index width) {
              return stepscan::GatedLinearAttention<float, Dynamic, Dynamic, Dynamic, Dynamic>(
                  {.model = width, .heads = 4, .kv_heads = 4, .key_dim = width / 8, .value_dim = width / 4});
            }),
  };
}
