#pragma once

#include <cmath>
#include <stepscan/ops/attention.hpp>
#include <stepscan/ops/key_lists.hpp>
#include <stepscan/ops/top_positions.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Attention for the few queries that have something to say ("Informer", arXiv 2012.07436, equation 4). From keys drawn
/// for every query, sample_index [queries, samples], shared by all heads and batch members:
///   measure_i = max_n q_i.k_S(i,n) - (1 / keys) sum_n q_i.k_S(i,n)             (not scaled)
///   y_i = softmax attention for the `top` queries of the largest measure,
///         the mean of all values for the others, or, causal, the sum of v_0 to v_i: as released.
/// The choice is made over the whole sequence, so a causal one cannot be streamed. It carries no gradient. Batches have
/// no padding.
struct ProbSparse {
  std::span<const Index> sample_index;
  Index samples = 0;
  Index top = 0;
  bool causal = false;

  /// factor * ceil(log(count)), at most count: how many samples of the keys and how many queries the paper takes.
  [[nodiscard]] static Index default_count(Index factor, Index count) noexcept {
    return count < 1 ? 0
                     : std::min(count, factor * static_cast<Index>(std::ceil(std::log(static_cast<double>(count)))));
  }
};

/// measure [batch, heads, queries] and selected [batch, heads, top], ascending.
template <Scalar S>
struct ProbSparseChoice {
  Tensor<S, Dynamic, Dynamic, Dynamic> measure;
  Tensor<Index, Dynamic, Dynamic, Dynamic> selected;
};

/// Throws ShapeError when causal queries are not as many as the keys, or samples lie outside the keys.
template <Scalar S>
[[nodiscard]] ProbSparseChoice<S> choose_queries(const AttentionInputs<S>& in, const ProbSparse& options) {
  const AttentionSizes& n = in.sizes;
  const Index batch = in.q.batch, queries = in.q.time, keys = in.k.time;
  const bool inside = std::all_of(options.sample_index.begin(), options.sample_index.end(),
                                  [&](Index j) { return j >= 0 && j < keys; });
  if (!inside || static_cast<Index>(options.sample_index.size()) != queries * options.samples ||
      (options.causal && queries != keys)) {
    fail<ShapeError>("choose_queries: expected samples [" + std::to_string(queries) + ", " +
                     std::to_string(options.samples) + "] below " + std::to_string(keys) +
                     ", and as many queries as keys where causal");
  }
  ProbSparseChoice<S> choice{Tensor<S, Dynamic, Dynamic, Dynamic>(batch, n.heads, queries),
                             Tensor<Index, Dynamic, Dynamic, Dynamic>(batch, n.heads, std::min(options.top, queries))};
  for (Index b = 0; b < batch; ++b) {
    for (Index h = 0; h < n.heads; ++h) {
      S* const measure = choice.measure.data() + (b * n.heads + h) * queries;
      for (Index i = 0; i < queries; ++i) {
        S most = -std::numeric_limits<S>::infinity(), sum{0};
        for (Index s = 0; s < options.samples; ++s) {
          const Index j = options.sample_index[static_cast<std::size_t>(i * options.samples + s)];
          const S product = dot<S>(in.query(b, h, i), in.k.token(b, j) + h / n.group() * n.key_dim, n.key_dim);
          most = std::max(most, product);
          sum += product;
        }
        measure[i] = most - sum / static_cast<S>(keys);
      }
      const auto top = top_positions<S>({measure, static_cast<std::size_t>(queries)}, options.top);
      std::copy(top.begin(), top.end(), choice.selected.data() + (b * n.heads + h) * choice.selected.extent(2));
    }
  }
  return choice;
}

namespace detail {

/// The picked queries of every head as a batch of their own, [batch * heads, top, dim], one head each; and their keys.
template <Scalar S>
struct PickedQueries {
  SequenceView<S> q, k, v;
  AttentionInputs<S> in;
  patterns::CausalPicked causal;

  PickedQueries(const AttentionInputs<S>& from, const ProbSparseChoice<S>& choice, Workspace& workspace) {
    const AttentionSizes& n = from.sizes;
    const Index sequences = from.q.batch * n.heads, top = choice.selected.extent(2);
    const auto take = [&](Index time, Index dim) {
      return SequenceView<S>(workspace.take<S>(sequences * time * dim), sequences, time, dim);
    };
    q = take(top, n.key_dim);
    k = take(from.k.time, n.key_dim);
    v = take(from.k.time, n.value_dim);
    for (Index s = 0; s < sequences; ++s) {
      const Index b = s / n.heads, h = s % n.heads, g = h / n.group();
      for (Index i = 0; i < top; ++i) std::copy_n(from.query(b, h, picked(choice, s, i)), n.key_dim, q.token(s, i));
      for (Index j = 0; j < from.k.time; ++j) {
        std::copy_n(from.k.token(b, j) + g * n.key_dim, n.key_dim, k.token(s, j));
        std::copy_n(from.v.token(b, j) + g * n.value_dim, n.value_dim, v.token(s, j));
      }
    }
    in = {{1, 1, n.key_dim, n.value_dim}, from.scale, q, k, v};
    causal = {choice.selected.span(), top};
  }

  [[nodiscard]] static Index picked(const ProbSparseChoice<S>& choice, Index s, Index i) noexcept {
    return choice.selected[s * choice.selected.extent(2) + i];
  }
};

/// A place for what the picked queries of a head give, and for the rows that are kept of them.
template <Scalar S>
struct PickedRows {
  SequenceView<S> y;
  AttentionRows<S> kept;

  PickedRows(const PickedQueries<S>& picked, Workspace& workspace)
      : y(workspace.sequence<S>(picked.q, Extent<Dynamic>(picked.in.sizes.value_dim))),
        kept{workspace.sequence<S>(picked.q, Extent<Dynamic>(1)), workspace.sequence<S>(picked.q, Extent<Dynamic>(1))} {
  }
};

template <Scalar S>
void attend_picked(const PickedQueries<S>& picked, bool causal, const PickedRows<S>& rows, Workspace& workspace) {
  const SoftmaxWeights<S> fold;
  if (causal) {
    attention_scan(fold, picked.causal, picked.in, rows.y, {}, workspace, rows.kept);
  } else {
    attention_scan(fold, patterns::Full(), picked.in, rows.y, {}, workspace, rows.kept);
  }
}

}  // namespace detail

/// y [batch, queries, heads * value_dim].
template <Scalar S>
void prob_sparse_attention(const AttentionInputs<S>& in, const ProbSparse& options, const ProbSparseChoice<S>& choice,
                           SequenceView<S> y, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const AttentionSizes& n = in.sizes;
  const detail::PickedQueries<S> picked(in, choice, workspace);
  const detail::PickedRows<S> rows(picked, workspace);
  detail::attend_picked(picked, options.causal, rows, workspace);
  S* const filling = workspace.take<S>(n.value_dim);
  for (Index s = 0; s < picked.q.batch; ++s) {
    const Index b = s / n.heads, h = s % n.heads;
    std::fill_n(filling, n.value_dim, S{0});
    const auto add = [&](Index j) {
      for (Index d = 0; d < n.value_dim; ++d) filling[d] += picked.v.token(s, j)[d];
    };
    for (Index j = 0; j < in.k.time && !options.causal; ++j) add(j);
    const S share = options.causal ? S{1} : 1 / static_cast<S>(std::max<Index>(in.k.time, 1));
    for (Index i = 0; i < in.q.time; ++i) {
      if (options.causal) add(i);
      S* const to = y.token(b, i) + h * n.value_dim;
      for (Index d = 0; d < n.value_dim; ++d) to[d] = share * filling[d];
    }
    for (Index i = 0; i < picked.q.time; ++i) {
      std::copy_n(rows.y.token(s, i), n.value_dim, y.token(b, picked.picked(choice, s, i)) + h * n.value_dim);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
