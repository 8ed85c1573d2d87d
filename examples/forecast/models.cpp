#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/dropout_backward.hpp>
#include <stepscan/layers/glu_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/multi_head_attention_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/s4d.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/models/s4_block.hpp>
#include <stepscan/models/transformer.hpp>

#include "training.hpp"

namespace {

using namespace stepscan;
using examples::Result;
using examples::Series;
using examples::Settings;

/// One patch, the whole window, as it is: the head alone maps it, which is RLinear (arXiv 2305.10721).
Result run_linear(const Series& series, const Settings& s) {
  return examples::train_forecaster("linear", Activation<float, Dynamic, IdentityActivation>(s.lookback), s.lookback,
                                    series, s);
}

/// Patches as features, two blocks, dropout.
template <class Block>
auto make_encoder(const Block& block, const Settings& s) {
  return Sequential(Linear<float, Dynamic, Dynamic>(s.patch, s.width), Dropout<float, Dynamic>(s.width, 0.2), block,
                    block, Dropout<float, Dynamic>(s.width, 0.2));
}

/// S4D blocks. The windows are some ten patches long, so time steps are ten times those of the usual start.
Result run_s4d(const Series& series, const Settings& s) {
  const auto block = s4_block(S4d<float, Dynamic, Dynamic>(s.width, 16, {.step_scale = 10}));
  return examples::train_forecaster("s4d", make_encoder(block, s), s.patch, series, s);
}

/// Transformer blocks over patches as in PatchTST (arXiv 2211.14730), but causal, with rotary positions.
Result run_attention(const Series& series, const Settings& s) {
  using Attention =
      MultiHeadAttention<float, Dynamic, Dynamic, Dynamic, Dynamic, MultiHeadOptions{.positions = Positions::rotary}>;
  using Hidden = GeluFeedForward<float, Dynamic, Dynamic>;
  const auto block =
      transformer_block(Attention({.model = s.width, .heads = 4, .capacity = s.lookback / s.patch}),
                        Hidden(Linear<float, Dynamic, Dynamic>(s.width, 2 * s.width), Gelu<float, Dynamic>(2 * s.width),
                               Linear<float, Dynamic, Dynamic>(2 * s.width, s.width)));
  return examples::train_forecaster("attention", make_encoder(block, s), s.patch, series, s);
}

}  // namespace

std::vector<examples::Entry> examples::trained_models() {
  return {{"linear", run_linear}, {"s4d", run_s4d}, {"attention", run_attention}};
}
