#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/s4d_backward.hpp>

#include "train.hpp"

namespace {

using namespace stepscan;

using MambaBlock = Mamba<float, Dynamic, Dynamic, 16, 4, Dynamic>;

MambaBlock make_mamba(const examples::Settings& s) { return {s.width, 2 * s.width, 16, 4, s.width / 16}; }

/// A diagonal state-space model of every feature, then what mixes features.
auto make_s4d(const examples::Settings& s) {
  return Sequential(S4d<float, Dynamic, Dynamic>(s.width, 32), Gelu<float, Dynamic>(s.width),
                    Linear<float, Dynamic, Dynamic>(s.width, s.width));
}

/// Heads of 32 features with rotary positions, over as many characters as training sees at once.
auto make_attention(const examples::Settings& s) {
  constexpr MultiHeadOptions options{.positions = Positions::rotary};
  return MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, options>(
      {.model = s.width, .heads = s.width / 32, .capacity = s.time});
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
             "hybrid",
             Sequential(make_block(make_mamba(settings), settings), make_block(make_attention(settings), settings)),
             text, settings);
       }},
  };
}
