#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/repeat.hpp>

#include "train.hpp"

namespace {

using namespace stepscan;

using MambaBlock = Mamba<float, Dynamic, Dynamic, 16, 4, Dynamic>;

MambaBlock make_mamba(Index width) { return {width, 2 * width, 16, 4, width / 16}; }

/// A diagonal state-space model of every feature, then what mixes features.
auto make_s4d(Index width) {
  return Sequential(S4d<float, Dynamic, Dynamic>(width, 32), Gelu<float, Dynamic>(width),
                    Linear<float, Dynamic, Dynamic>(width, width));
}

/// Heads of 32 features with rotary positions, over the last 256 characters.
auto make_attention(Index width) {
  constexpr MultiHeadOptions options{.positions = Positions::rotary};
  return MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, options>(
      {.model = width, .heads = width / 32, .capacity = 256});
}

}  // namespace

std::vector<examples::Entry> examples::attention_models() {
  return {
      entry("mamba", make_mamba),
      entry("s4d", make_s4d),
      entry("attention", make_attention),
      {"hybrid",
       [](const Text& text, const Settings& settings) {
         return train_model(
             "hybrid", Sequential(make_block(make_mamba(settings.width)), make_block(make_attention(settings.width))),
             text, settings);
       }},
  };
}
