#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/group_norm.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/swiglu.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::blocks() {
  return {
      entry("rms_norm", [](Index width) { return RmsNorm<float, Dynamic>(width); }),
      entry("layer_norm", [](Index width) { return LayerNorm<float, Dynamic>(width); }),
      entry("group_norm", [](Index width) { return GroupNorm<float, Dynamic, 4>(width, 4); }),
      entry("swiglu", [](Index width) { return SwiGlu<float, Dynamic, Dynamic>(width, 4 * width); }),
      entry("gated_linear_attention_layer",
            [](Index width) {
              return GatedLinearAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, GlaOptions{.short_conv = true}>(
                  {.model = width, .heads = 4, .kv_heads = 4, .key_dim = width / 4, .value_dim = width / 4});
            }),
  };
}
