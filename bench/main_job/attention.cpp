#include <stepscan/layers/aaren.hpp>
#include <stepscan/layers/alibi_attention.hpp>
#include <stepscan/layers/biased_attention.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/pattern_attention.hpp>
#include <stepscan/layers/sigmoid_attention.hpp>
#include <stepscan/layers/softmax_attention.hpp>
#include <stepscan/layers/softmax_scan.hpp>

#include "job.hpp"

namespace {

using namespace stepscan;

constexpr Index heads = 4;

/// Four heads of `width` channels together.
AttentionSizes scan_sizes(Index width) { return {heads, heads, width / heads, width / heads}; }

/// With grouped heads and rotary positions.
using RotaryAttention =
    MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, MultiHeadOptions{.positions = Positions::rotary}>;
MultiHeadSizes sizes_of(Index width) {
  return {.model = width, .heads = heads, .kv_heads = heads / 2, .capacity = 1024};
}

/// With a cache of 1,024 tokens.
template <class L>
L of_width(Index width) {
  return L(scan_sizes(width), 1024);
}

/// The last 64 tokens, and blocks of 16 of which every head sees others.
using Shown = patterns::Or<patterns::Window<64>, patterns::Blocks<patterns::Strided>>;
const Shown shown(patterns::Window<64>(), patterns::Blocks<patterns::Strided>{16, {1, 8, 2}});

}  // namespace

std::vector<main_job::Entry> main_job::attention_layers() {
  constexpr Index any = Dynamic;
  return {
      entry("softmax_attention", of_width<SoftmaxAttentionScan<float, any, any, any, any>>),
      entry("sigmoid_attention", of_width<SigmoidAttentionScan<float, any, any, any, any, Similarity::sigmoid, true>>),
      entry("biased_attention", of_width<BiasedAttentionScan<float, any, any, any, any, AttentionBias::sink_logit>>),
      entry("pattern_attention",
            [](Index width) {
              return PatternAttentionScan<float, any, any, any, any, Shown>(scan_sizes(width), shown, 1024);
            }),
      entry("alibi_attention", of_width<AlibiAttentionScan<float, any, any, any, any>>),
      entry("multi_head_attention", [](Index width) { return RotaryAttention(sizes_of(width)); }),
      entry("softmax_scan", [](Index width) { return SoftmaxScan<float, any, any>(heads, width / heads); }),
      entry("aaren", [](Index width) { return Aaren<float, any, any>(width, heads); }),
  };
}
