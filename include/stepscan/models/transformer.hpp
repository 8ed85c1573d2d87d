#pragma once

#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/models/residual.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The feed-forward network of the first Transformers with GELU (arXiv 1706.03762, equation 2; 1606.08415):
///   y = W_1 gelu(W_0 x + b_0) + b_1
/// Parameters 0.weight, 0.bias, 2.weight, 2.bias.
template <Scalar S, Index Model, Index Hidden>
using GeluFeedForward = Sequential<Linear<S, Model, Hidden>, Gelu<S, Hidden>, Linear<S, Hidden, Model>>;

/// A pre-norm block (arXiv 2002.04745): first a layer that mixes tokens, then one that treats each by itself.
///   h = x + mixer(norm(x)),   y = h + feed_forward(norm(h))
/// With MultiHeadAttention and SwiGlu it is the block of Llama; a linear attention or a Mamba in the mixer's place
/// makes hybrids: Sequential<TransformerBlock<MultiHeadAttention<...>, SwiGlu<...>>, TransformerBlock<Mamba<...>,
/// ...>>. Parameters 0.0 (norm), 0.1 (mixer), 1.0 (norm), 1.1 (feed_forward).
template <SequenceLayer Mixer, SequenceLayer FeedForward,
          SequenceLayer Norm = RmsNorm<typename Mixer::scalar_type, Mixer::static_inputs>>
using TransformerBlock = Sequential<Residual<Norm, Mixer>, Residual<Norm, FeedForward>>;

/// A block of these parts, its norms of their width.
template <SequenceLayer Mixer, SequenceLayer FeedForward>
[[nodiscard]] TransformerBlock<Mixer, FeedForward> transformer_block(Mixer mixer, FeedForward feed_forward) {
  const RmsNorm<typename Mixer::scalar_type, Mixer::static_inputs> norm(mixer.input_size());
  return TransformerBlock<Mixer, FeedForward>(Residual(norm, std::move(mixer)),
                                              Residual(norm, std::move(feed_forward)));
}

}  // namespace stepscan::inline STEPSCAN_ISA
