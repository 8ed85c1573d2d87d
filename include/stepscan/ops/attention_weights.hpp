#pragma once

#include <stepscan/ops/attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The weights by which one head of one batch member takes values, for a look at them: weights [queries, keys] are such
/// that y = weights v, 0 for hidden keys and in padding. No attention needs them; this makes all pairs.
template <class Fold, KeyPattern Pattern, Scalar S>
void attention_weights(const Fold& fold, const Pattern& pattern, const AttentionInputs<S>& in, Index b, Index h,
                       MatrixView<S> weights, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const AttentionSizes& n = in.sizes;
  const AttentionHead head{b, h, h / n.group()};
  S* const unused = workspace.take<S>(n.value_dim);
  const Index keys = in.k.length(b);
  for (Index t = 0; t < weights.rows; ++t) {
    S* const row = weights.row(t);
    std::fill_n(row, Index{weights.cols}, S{0});
    if (t >= in.q.length(b) || keys == 0) continue;
    S maximum, sum;
    detail::start_row(fold, in, h, in.query(b, h, t), maximum, sum, unused);
    for (Index j = 0; j < keys; ++j) {
      row[j] = fold.unit(in.scale) * dot<S>(in.query(b, h, t), in.k.token(b, j) + head.kv_head * n.key_dim, n.key_dim);
    }
    detail::add_distances(fold, in, head, in.position_of(b) + t, {0, keys}, row);
    for (Index j = 0; j < keys; j += mask_keys) {
      detail::hide_keys(pattern.row(head, in.position_of(b) + t, j), row + j, std::min(mask_keys, keys - j));
    }
    const S before = maximum;
    S rescale;
    maximum = fold.largest(row, keys, before);
    fold.rescale(&before, &maximum, 1, &rescale);
    sum = rescale * sum + fold.weigh(row, keys, maximum);
    const Simd<S> inverse(fold.inverse(sum));
    transform(row, row, keys, [&](Simd<S> x) { return x * inverse; });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
