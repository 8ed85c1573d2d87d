#pragma once

#include <stepscan/ops/attention_weights.hpp>
#include <stepscan/ops/key_lists.hpp>
#include <stepscan/ops/top_positions.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How an estimate of vertical and slash lines is made.
struct VerticalSlashOptions {
  Index vertical_size = 1000;  ///< columns to keep
  Index slash_size = 800;      ///< distances to keep
  Index last_queries = 64;     ///< whose attention is looked at
  Index forced_vertical = 30;  ///< first columns that are always kept; at most vertical_size
  Index forced_slash = 100;    ///< smallest distances that are always kept; at most slash_size
};

/// Where attention of long prompts concentrates (MInference, arXiv 2407.02490, algorithm 2): columns and distances, of
/// every head of every batch member, from the causal attention of the last queries alone:
///   vertical_score[j] = sum_r P[r, j],   slash_score[s] = sum_r P[r, i_r - s]
/// Scores [batch, heads, time]; vertical and slash, ascending, [batch, heads, their number].
template <Scalar S>
struct VerticalSlashLines {
  Tensor<S, Dynamic, Dynamic, Dynamic> vertical_score, slash_score;
  Tensor<Index, Dynamic, Dynamic, Dynamic> vertical, slash;

  [[nodiscard]] patterns::Columns columns() const noexcept { return {lists(vertical)}; }
  [[nodiscard]] patterns::Slashes slashes() const noexcept { return {lists(slash)}; }

 private:
  static patterns::PositionLists lists(const Tensor<Index, Dynamic, Dynamic, Dynamic>& positions) noexcept {
    return {positions.span(), positions.extent(1), positions.extent(2), true};
  }
};

/// Estimates the lines of a causal attention whose queries are as many as its keys. Throws ArgumentError when more are
/// forced than are kept: which of them would be left to chance.
template <Scalar S>
[[nodiscard]] VerticalSlashLines<S> estimate_vertical_slash(const AttentionInputs<S>& in,
                                                            const VerticalSlashOptions& options, Workspace& workspace) {
  if (options.forced_vertical > options.vertical_size || options.forced_slash > options.slash_size) {
    fail<ArgumentError>("estimate_vertical_slash: expected at most as many forced lines as are kept");
  }
  const Workspace::Scope scope(workspace);
  const Index batch = in.q.batch, heads = in.sizes.heads, time = in.q.time;
  const Index looked = std::min(options.last_queries, time);
  VerticalSlashLines<S> lines;
  lines.vertical_score = lines.slash_score = Tensor<S, Dynamic, Dynamic, Dynamic>(batch, heads, time);
  lines.vertical = Tensor<Index, Dynamic, Dynamic, Dynamic>(batch, heads, std::min(options.vertical_size, time));
  lines.slash = Tensor<Index, Dynamic, Dynamic, Dynamic>(batch, heads, std::min(options.slash_size, time));
  AttentionInputs<S> last = in;
  last.q = in.q.slice(time - looked, looked);
  last.position = time - looked;
  const MatrixView<S> weights = workspace.template matrix<S>(looked, Extent<Dynamic>(time));
  const auto keep = [&](S* scores, Index forced, Tensor<Index, Dynamic, Dynamic, Dynamic>& to, Index b, Index h) {
    std::vector<S> ranked(scores, scores + time);
    std::fill_n(ranked.begin(), std::min(forced, time), std::numeric_limits<S>::infinity());
    const std::vector<Index> top = top_positions<S>(ranked, to.extent(2));
    std::copy(top.begin(), top.end(), to.data() + (b * heads + h) * to.extent(2));
  };
  for (Index b = 0; b < batch; ++b) {
    for (Index h = 0; h < heads && time > 0; ++h) {
      attention_weights(SoftmaxWeights<S>(), patterns::Causal(), last, b, h, weights, workspace);
      S *const vertical = &lines.vertical_score(b, h, 0), *const slash = &lines.slash_score(b, h, 0);
      for (Index r = 0; r < looked; ++r) {
        const Index i = last.position + r;
        for (Index j = 0; j <= i; ++j) {
          vertical[j] += weights(r, j);
          slash[i - j] += weights(r, j);
        }
      }
      keep(vertical, options.forced_vertical, lines.vertical, b, h);
      keep(slash, options.forced_slash, lines.slash, b, h);
    }
  }
  return lines;
}

/// What a kernel that works on blocks covers of the slashes: for blocks of queries, runs of keys of whole blocks.
struct SlashCover {
  std::vector<TokenRange> runs;
  std::vector<Index> first{0};
  Index heads = 1;
  Index blocks = 0;
  Index block = 1;

  [[nodiscard]] patterns::Runs pattern() const noexcept { return {runs, first, heads, blocks, block}; }
};

/// The cover of MInference's kernel: every distance s reaches the `block` keys before max(e - s, block), e the end of a
/// block of queries; runs that touch or overlap grow by a block.
template <Scalar S>
[[nodiscard]] SlashCover cover_slashes(const VerticalSlashLines<S>& lines, Index time, Index block) {
  const Tensor<Index, Dynamic, Dynamic, Dynamic>& slash = lines.slash;
  SlashCover cover;
  cover.heads = slash.extent(1);
  cover.blocks = chunk_count(time, block);
  cover.block = block;
  for (Index list = 0; list < slash.extent(0) * slash.extent(1); ++list) {
    const auto distances = slash.span().subspan(static_cast<std::size_t>(list * slash.extent(2)),
                                                static_cast<std::size_t>(slash.extent(2)));
    for (Index i = 0; i < cover.blocks; ++i) {
      const Index end_of_block = (i + 1) * block;
      const std::size_t begin = cover.runs.size();
      for (auto s = distances.rbegin(); s != distances.rend(); ++s) {
        if (*s >= end_of_block) continue;
        const Index end = std::max(end_of_block - *s, block);
        if (cover.runs.size() == begin || end > cover.runs.back().end + block) {
          cover.runs.push_back({end - block, end});
        } else if (end > cover.runs.back().end) {
          cover.runs.back().end += block;
        }
      }
      cover.first.push_back(static_cast<Index>(cover.runs.size()));
    }
  }
  return cover;
}

}  // namespace stepscan::inline STEPSCAN_ISA
