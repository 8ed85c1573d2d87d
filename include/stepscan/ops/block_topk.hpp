#pragma once

#include <stepscan/ops/attention_tiles.hpp>
#include <stepscan/ops/key_lists.hpp>
#include <stepscan/ops/top_positions.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Which blocks of keys a block of queries attends to (MInference, arXiv 2407.02490, algorithm 3): the top_k by
///   block_score[m, n] = mean of the queries of block m . mean of the keys of block n,   n <= m, 0 elsewhere,
/// not scaled. Tokens that a last block lacks count as zero. block_score and chosen [batch, heads, blocks, blocks].
template <Scalar S>
struct BlockChoice {
  Tensor<S, Dynamic, Dynamic, Dynamic, Dynamic> block_score;
  Tensor<std::uint8_t, Dynamic, Dynamic, Dynamic, Dynamic> chosen;
  Index block = 1;

  /// To be put together with Causal. A query whose own block was not chosen may see nothing.
  [[nodiscard]] patterns::Blocks<patterns::Layout> pattern() const noexcept {
    return {block, {chosen.span(), chosen.extent(1), chosen.extent(2), chosen.extent(3), true}};
  }
};

/// Chooses the blocks of a causal attention whose queries are as many as its keys.
template <Scalar S>
[[nodiscard]] BlockChoice<S> choose_blocks(const AttentionInputs<S>& in, Index block, Index top_k) {
  const AttentionSizes& n = in.sizes;
  const Index batch = in.q.batch, blocks = chunk_count(in.q.time, block);
  BlockChoice<S> choice;
  choice.block = block;
  choice.block_score = Tensor<S, Dynamic, Dynamic, Dynamic, Dynamic>(batch, n.heads, blocks, blocks);
  choice.chosen = Tensor<std::uint8_t, Dynamic, Dynamic, Dynamic, Dynamic>(batch, n.heads, blocks, blocks);
  const auto means = [&](const SequenceView<const S>& x, Index b, Index first) {
    Tensor<S, Dynamic, Dynamic> mean(blocks, n.key_dim);
    for (Index t = 0; t < x.length(b); ++t) {
      for (Index d = 0; d < n.key_dim; ++d) mean(t / block, d) += x.token(b, t)[first + d] / static_cast<S>(block);
    }
    return mean;
  };
  for (Index b = 0; b < batch; ++b) {
    for (Index h = 0; h < n.heads; ++h) {
      const auto q = means(in.q, b, h * n.key_dim), k = means(in.k, b, h / n.group() * n.key_dim);
      for (Index m = 0; m < blocks; ++m) {
        S* const scores = &choice.block_score(b, h, m, 0);
        for (Index j = 0; j <= m; ++j) scores[j] = dot<S>(&q(m, 0), &k(j, 0), n.key_dim);
        for (const Index j : top_positions<S>({scores, static_cast<std::size_t>(m + 1)}, top_k))
          choice.chosen(b, h, m, j) = 1;
      }
    }
  }
  return choice;
}

}  // namespace stepscan::inline STEPSCAN_ISA
