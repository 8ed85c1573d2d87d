#pragma once

#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/prob_sparse.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The backward pass, the choice being fixed: writes dq, dk and dv. `cotangents.dy` is all that is read of what the
/// forward pass gave, whose picked rows are worked out once more.
template <Scalar S>
void prob_sparse_attention_backward(const AttentionInputs<S>& in, const ProbSparse& options,
                                    const ProbSparseChoice<S>& choice, const AttentionCotangents<S>& cotangents,
                                    Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const AttentionSizes& n = in.sizes;
  const detail::PickedQueries<S> picked(in, choice, workspace);
  const detail::PickedRows<S> rows(picked, workspace);
  detail::attend_picked(picked, options.causal, rows, workspace);
  const auto like = [&](const SequenceView<S>& x) { return workspace.sequence<S>(x, x.features); };
  const SequenceView<S> dy = like(rows.y), dq = like(picked.q), dk = like(picked.k), dv = like(picked.v);
  for (Index s = 0; s < picked.q.batch; ++s) {
    for (Index i = 0; i < picked.q.time; ++i) {
      std::copy_n(cotangents.dy.token(s / n.heads, picked.picked(choice, s, i)) + s % n.heads * n.value_dim,
                  n.value_dim, dy.token(s, i));
    }
  }
  const AttentionCotangents<S> own{rows.y, dy, {}, dq, dk, dv};
  const SoftmaxWeights<S> fold;
  if (options.causal) {
    attention_scan_backward(fold, picked.causal, picked.in, rows.kept, own, workspace);
  } else {
    attention_scan_backward(fold, patterns::Full(), picked.in, rows.kept, own, workspace);
  }
  clear_tokens(cotangents.dq);
  clear_tokens(cotangents.dk);
  clear_tokens(cotangents.dv);
  S* const sum = workspace.take<S>(n.value_dim);
  bool* const taken = workspace.take<bool>(in.q.time);
  const auto add = [](const S* x, S* to, Index count) { add_scaled(S{1}, x, to, count); };
  for (Index s = 0; s < picked.q.batch; ++s) {
    const Index b = s / n.heads, h = s % n.heads, g = h / n.group();
    std::fill_n(taken, in.q.time, false);
    for (Index i = 0; i < picked.q.time; ++i) {
      const Index at = picked.picked(choice, s, i);
      taken[at] = true;
      add(dq.token(s, i), cotangents.dq.token(b, at) + h * n.key_dim, n.key_dim);
    }
    // What the other queries send to the values: their share of every one, or to all up to their own.
    std::fill_n(sum, n.value_dim, S{0});
    const auto gather = [&](Index i) {
      if (!taken[i]) add(cotangents.dy.token(b, i) + h * n.value_dim, sum, n.value_dim);
    };
    for (Index i = 0; i < in.q.time && !options.causal; ++i) gather(i);
    const S share = options.causal ? S{1} : 1 / static_cast<S>(std::max<Index>(in.k.time, 1));
    for (Index j = in.k.time; j-- > 0;) {
      if (options.causal) gather(j);
      S* const to = dv.token(s, j);
      add_scaled(share, sum, to, n.value_dim);
      add(to, cotangents.dv.token(b, j) + g * n.value_dim, n.value_dim);
      add(dk.token(s, j), cotangents.dk.token(b, j) + g * n.key_dim, n.key_dim);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
