#pragma once

#include <cstdint>
#include <limits>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/scan/executors.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Items to point at and what may be pointed at. Items are known by their projections, transposed so that lanes hold
/// items: `projected` [batch, attention_features, items], worked out once per sequence; `items` [batch, items,
/// features].
template <Scalar S>
struct PointerMemory {
  SequenceView<const S> projected;
  SequenceView<const S> items;
};

/// Which items may be pointed at: mask [batch, queries, items], not 0 where allowed; null allows all.
struct PointerMask {
  const std::uint8_t* mask = nullptr;
  Index queries = 0;
  Index items = 0;

  [[nodiscard]] bool allows(Index b, Index i, Index j) const noexcept {
    return mask == nullptr || mask[(b * queries + i) * items + j] != 0;
  }
};

/// Additive attention as a pointer ("Pointer Networks", arXiv 1506.03134, equation 3), with p_j the projection of item
/// j and q_i that of query i, [attention_features] each:
///   u_ij = sum_a v_a tanh(p_ja + q_ia),   clip tanh(u_ij) instead where clip > 0 (arXiv 1611.09940)
template <Scalar S>
struct PointerScores {
  const S* v = nullptr;
  S clip{0};

  /// u [items] of one query; the rest of its last register may be written.
  void scores(const SequenceView<const S>& projected, Index b, const S* query, S* u) const noexcept {
    const Index items = projected.features;
    for_each_lanes<S>(items, [&](Index j, auto lanes) {
      Simd<S> sum(S{0});
      for (Index a = 0; a < projected.time; ++a) {
        sum = fma(Simd<S>(v[a]), tanh(lanes.load(projected.token(b, a) + j) + Simd<S>(query[a])), sum);
      }
      lanes.store(u + j, clip > S{0} ? Simd<S>(clip) * tanh(sum) : sum);
    });
  }
};

/// The results for every query: log_probs and probs [batch, queries, items], context [batch, queries, features], the
/// sum of items weighted by probs, and choice [batch, queries], the likeliest item, the first of equals. Where nothing
/// is allowed all are 0 and the choice is -1; log_probs is 0 where an item is not allowed. A context of null data and a
/// null choice are not worked out.
template <Scalar S>
struct PointerResults {
  SequenceView<S> log_probs;
  SequenceView<S> probs;
  SequenceView<S> context;
  Index* choice = nullptr;
};

namespace detail {

/// From scores to results, of one query.
template <Scalar S>
void point_one(const PointerMemory<S>& memory, const PointerMask& mask, Index b, Index i, S* u,
               const PointerResults<S>& to) noexcept {
  const Index items = memory.projected.features, features = memory.items.features;
  S *const log_probs = to.log_probs.token(b, i), *const probs = to.probs.token(b, i);
  S* const context = to.context.data == nullptr ? nullptr : to.context.token(b, i);
  Index choice = -1;
  for (Index j = 0; j < items; ++j) {
    if (mask.allows(b, i, j) && (choice < 0 || u[j] > u[choice])) choice = j;
  }
  if (to.choice != nullptr) to.choice[b * to.probs.time + i] = choice;
  if (context != nullptr) std::fill_n(context, features, S{0});
  S sum{0};
  for (Index j = 0; j < items; ++j) {
    probs[j] = mask.allows(b, i, j) ? std::exp(u[j] - u[choice]) : S{0};
    sum += probs[j];
  }
  const S log_sum = std::log(sum);
  for (Index j = 0; j < items; ++j) {
    const bool allowed = mask.allows(b, i, j);
    log_probs[j] = allowed ? u[j] - u[choice] - log_sum : S{0};
    if (!allowed) continue;
    probs[j] /= sum;
    if (context == nullptr) continue;
    add_scaled<S>(probs[j], memory.items.token(b, j), context, features);
  }
}

}  // namespace detail

/// Points with every query, projected [batch, queries, attention_features].
template <Scalar S>
void pointer_attention(const PointerScores<S>& scores, const PointerMemory<S>& memory, SequenceView<const S> queries,
                       const PointerMask& mask, const PointerResults<S>& to, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index items = memory.projected.features, jobs = queries.batch * queries.time;
  const Index workers = worker_count(jobs, jobs * items * memory.projected.time * 8);
  S* const u = workspace.take<S>(workers * items);
  parallel_for(workers, static_cast<int>(workers), [&](Index worker) {
    for (Index job = worker; job < jobs; job += workers) {
      const Index b = job / queries.time, i = job % queries.time;
      scores.scores(memory.projected, b, queries.token(b, i), u + worker * items);
      detail::point_one(memory, mask, b, i, u + worker * items, to);
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
