#pragma once

#include <stepscan/kernels/dot.hpp>
#include <stepscan/ops/pointer_attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The results of a pointer_attention, their cotangents (views of nothing: none), and the cotangents of what went in,
/// to which the backward pass adds.
template <Scalar S>
struct PointerCotangents {
  SequenceView<const S> log_probs;
  SequenceView<const S> probs;
  SequenceView<const S> context;
  SequenceView<const S> dlog_probs;
  SequenceView<const S> dprobs;
  SequenceView<const S> dcontext;
  SequenceView<S> dprojected;
  SequenceView<S> ditems;
  SequenceView<S> dqueries;
  S* dv = nullptr;
};

/// The backward pass of pointer_attention. With g the cotangent of the context and l, r those of log_probs and probs,
///   du_j = l_j - p_j sum(l) + p_j (r_j - r.p) + p_j (g.e_j - g.context),   0 where an item is not allowed,
/// and with t = tanh(p + q), worked out once more,
///   dv_a = sum du t_a,   dp_ja = dq_ia = du v_a (1 - t_a^2).
template <Scalar S>
void pointer_attention_backward(const PointerScores<S>& scores, const PointerMemory<S>& memory,
                                SequenceView<const S> queries, const PointerMask& mask, const PointerCotangents<S>& to,
                                Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index items = memory.projected.features, features = memory.items.features;
  S* const du = workspace.take<S>(items);
  S* const u = workspace.take<S>(items);
  for (Index b = 0; b < queries.batch; ++b) {
    for (Index i = 0; i < queries.time; ++i) {
      const S *const p = to.probs.token(b, i), *const query = queries.token(b, i);
      const auto cotangent = [&](const SequenceView<const S>& d, Index j) {
        return d.data == nullptr || !mask.allows(b, i, j) ? S{0} : d.token(b, i)[j];
      };
      S log_sum{0}, prob_sum{0};
      for (Index j = 0; j < items; ++j) {
        log_sum += cotangent(to.dlog_probs, j);
        prob_sum += p[j] * cotangent(to.dprobs, j);
      }
      const S* const g = to.dcontext.data == nullptr ? nullptr : to.dcontext.token(b, i);
      const S pulled = g == nullptr ? S{0} : dot<S>(g, to.context.token(b, i), features);
      for (Index j = 0; j < items; ++j) {
        du[j] = cotangent(to.dlog_probs, j) - p[j] * log_sum + p[j] * (cotangent(to.dprobs, j) - prob_sum);
        if (g == nullptr) continue;
        const S* const item = memory.items.token(b, j);
        du[j] += p[j] * (dot<S>(g, item, features) - pulled);
        add_scaled(p[j], g, to.ditems.token(b, j), features);
      }
      if (scores.clip > S{0}) {
        scores.scores(memory.projected, b, query, u);
        for (Index j = 0; j < items; ++j) du[j] *= scores.clip - u[j] * u[j] / scores.clip;
      }
      for (Index a = 0; a < memory.projected.time; ++a) {
        const S* const projected = memory.projected.token(b, a);
        S* const dprojected = to.dprojected.token(b, a);
        const Simd<S> own(query[a]), v(scores.v[a]);
        const auto sums = sum_lanes<S, 2>(items, [&](Index j, auto lanes) {
          const Simd<S> t = tanh(lanes.load(projected + j) + own), d = lanes.load(du + j);
          const Simd<S> before = d * v * (Simd<S>(S{1}) - t * t);
          lanes.store(dprojected + j, lanes.load(dprojected + j) + before);
          return std::array{d * t, before};
        });
        to.dv[a] += sums[0];
        to.dqueries.token(b, i)[a] += sums[1];
      }
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
