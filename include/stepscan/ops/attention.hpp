#pragma once

#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/ops/attention_tiles.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Where a row of queries starts to fold: with nothing, or with a logit and its value.
template <class Fold, Scalar S>
void start_row(const Fold& fold, const AttentionInputs<S>& in, Index h, const S* query, S& maximum, S& sum,
               S* weighted) noexcept {
  maximum = Fold::shifts ? -std::numeric_limits<S>::infinity() : S{0};
  sum = S{0};
  std::fill_n(weighted, in.sizes.value_dim, S{0});
  if constexpr (Fold::shifts) {
    const AttentionStart<S>& start = in.start;
    if (!start.has_key()) return;
    maximum =
        start.logits != nullptr
            ? fold.unit(start.logits[h])
            : fold.unit(in.scale) * dot<S>(query, start.of_head(start.key, h, in.sizes.key_dim), in.sizes.key_dim);
    sum = S{1};
    if (start.value != nullptr)
      std::copy_n(start.of_head(start.value, h, in.sizes.value_dim), in.sizes.value_dim, weighted);
  }
}

/// y = w times the inverse of u, and what is added to it.
template <class Fold, Scalar S>
void finish_row(const Fold& fold, const AttentionInputs<S>& in, Index h, S sum, const S* weighted, S* y) noexcept {
  const Index count = in.sizes.value_dim;
  const S inverse = fold.inverse(sum);
  transform(y, weighted, count, [&](Simd<S> w) { return w * Simd<S>(inverse); });
  const S* const added = in.start.of_head(in.start.added, h, count);
  for (Index i = 0; added != nullptr && i < count; ++i) y[i] += added[i];
}

/// Attention of one block of queries of one head at a time, tile of keys after tile of keys:
///   S = Q K^T;  weights P and rescaling factors r of the rows;  W = diag(r) W + P V.
template <class Fold, KeyPattern Pattern, Scalar S>
struct AttentionScan {
  Fold fold;
  Pattern pattern;
  AttentionInputs<S> in;
  SequenceView<S> y;
  AttentionRows<S> kept;
  Index rows = query_tile;  ///< queries of a block
  S* packed = nullptr;      ///< PackedKeys, in places: a worker's, or one for every key/value head of every member
  S* scratch = nullptr;     ///< per worker

  [[nodiscard]] Index blocks() const noexcept { return chunk_count(in.q.time, rows); }
  [[nodiscard]] Index jobs() const noexcept { return in.q.batch * in.sizes.heads * blocks(); }
  [[nodiscard]] Index scratch_size() const noexcept {
    return rows * (in.sizes.key_dim + in.sizes.value_dim + key_tile + 4);
  }
  /// Blocks of queries that read the same keys: those of key/value head g of member b are the jobs from (b * kv_heads +
  /// g) times their number on.
  [[nodiscard]] Index sharing() const noexcept { return in.sizes.group() * blocks(); }
  [[nodiscard]] PackedKeys<S> packed_at(Index place) const noexcept {
    return PackedKeys<S>::at(packed + place * PackedKeys<S>::size(in.sizes, in.k.time), in.sizes, in.k.time);
  }
  void pack(Index kv_head, Index place) const noexcept {
    packed_at(place).pack(in, kv_head / in.sizes.kv_heads, kv_head % in.sizes.kv_heads, fold.unit(in.scale));
  }

  /// The memory of one block.
  struct Tile {
    MatrixView<S> queries, scores, weighted;
    S *maximum, *before, *sum, *rescale;

    Tile(S* memory, Index rows, const AttentionSizes& n) noexcept
        : queries(memory, rows, n.key_dim),
          scores(queries.row(rows), rows, key_tile),
          weighted(scores.row(rows), rows, n.value_dim),
          maximum(weighted.row(rows)),
          before(maximum + rows),
          sum(before + rows),
          rescale(sum + rows) {}
  };

  /// `next` is the job that the worker does then.
  void run(Index job, Index next, Index place, Index worker) const noexcept {
    const QueryBlock block = block_of(job);
    const Index b = block.head.batch, h = block.head.head, t = block.first, count = block.count;
    if (count <= 0) return;
    const Tile tile(scratch + worker * scratch_size(), rows, in.sizes);
    for (Index i = 0; i < count; ++i) {
      std::copy_n(in.query(b, h, t + i), in.sizes.key_dim, tile.queries.row(i));
      start_row(fold, in, h, tile.queries.row(i), tile.maximum[i], tile.sum[i], tile.weighted.row(i));
    }
    const PackedKeys<S> packed_keys = packed_at(place);
    RowsAhead<S> ahead = rows_ahead(next);
    for_each_key_tile(pattern, block.head, block.rows(0, count), in.k.length(b),
                      [&](TokenRange keys, Visibility visibility) {
                        ahead.ask();
                        fold_tile(block, packed_keys, keys, visibility, tile);
                      });
    for (Index i = 0; i < count; ++i) {
      finish_row(fold, in, h, tile.sum[i], tile.weighted.row(i), y.token(b, t + i) + h * in.sizes.value_dim);
      if (kept.sum.data == nullptr) continue;
      kept.maximum.token(b, t + i)[h] = tile.maximum[i];
      kept.sum.token(b, t + i)[h] = tile.sum[i];
    }
  }

 private:
  [[nodiscard]] QueryBlock block_of(Index job) const noexcept {
    const Index h = job / blocks() % in.sizes.heads, b = job / blocks() / in.sizes.heads, t = job % blocks() * rows;
    return {{b, h, h / in.sizes.group()}, t, std::min(rows, in.q.length(b) - t), in.position_of(b) + t};
  }
  /// What a job reads and writes outside the packed keys, asked for while four tiles are folded.
  [[nodiscard]] RowsAhead<S> rows_ahead(Index job) const noexcept {
    RowsAhead<S> ahead;
    if (job >= jobs()) return ahead;
    const QueryBlock block = block_of(job);
    const Index b = block.head.batch, h = block.head.head, count = std::max<Index>(block.count, 0);
    ahead.add({in.query(b, h, block.first), count, in.sizes.key_dim, in.q.time_stride});
    ahead.add({y.token(b, block.first) + h * in.sizes.value_dim, count, in.sizes.value_dim, y.time_stride});
    ahead.spread(4);
    return ahead;
  }

  void fold_tile(const QueryBlock& block, const PackedKeys<S>& packed_keys, TokenRange keys, Visibility visibility,
                 const Tile& tile) const noexcept {
    for_each_row_group(pattern, block, keys, visibility, [&](Index first, Index end, TokenRange seen) {
      const MatrixView<const S> columns = packed_keys.whole_registers_of(seen);
      small_multiply<S>(factor<S>(tile.queries.middle_rows(first, end - first)), columns,
                        {tile.scores.row(first), end - first, columns.cols, key_tile});
    });
    // Row after row for the maxima, and once more for the weights: chains of rows then run side by side.
    std::copy_n(tile.maximum, block.count, tile.before);
    for_each_row_group(pattern, block, keys, visibility, [&](Index first, Index end, TokenRange seen) {
      for (Index i = first; i < end; ++i) {
        S* const row = tile.scores.row(i);
        add_distances(fold, in, block.head, block.position + i, seen, row);
        if (visibility == Visibility::partial) {
          hide_keys(pattern.row(block.head, block.position + i, seen.begin), row, seen.size());
        }
        tile.maximum[i] = fold.largest(row, seen.size(), tile.before[i]);
      }
    });
    fold.rescale(tile.before, tile.maximum, block.count, tile.rescale);
    for_each_row_group(pattern, block, keys, visibility, [&](Index first, Index end, TokenRange seen) {
      for (Index i = first; i < end; ++i) {
        const S added = fold.weigh(tile.scores.row(i), seen.size(), tile.maximum[i]);
        tile.sum[i] = tile.rescale[i] * tile.sum[i] + added;
      }
    });
    for_each_row_group(pattern, block, keys, visibility, [&](Index first, Index end, TokenRange seen) {
      small_multiply<S>(factor<S>({tile.scores.row(first), end - first, seen.size(), key_tile}),
                        packed_keys.values_of(seen), tile.weighted.middle_rows(first, end - first),
                        {.keeps = true, .scale = Fold::shifts ? tile.rescale + first : nullptr});
    });
  }
};

/// Calls f(job, worker) for all jobs, every worker taking one of as many as there are workers in turn: the later
/// queries of a causal pattern see more.
template <class F>
void for_each_in_turn(Index jobs, Index workers, F&& f) {
  parallel_for(workers, [&](Index worker) {
    for (Index job = worker; job < jobs; job += workers) f(job, worker);
  });
}

}  // namespace detail

/// Attention of every query to the keys that its pattern lets it see, without a matrix of all pairs:
///   y_i = sum_j a_ij v_j,   a_ij the fold's weights of s_ij = scale q_i.k_j
/// y [batch, time, heads * value_dim] must not overlap the inputs; 0 where a query sees no key and starts with nothing.
/// Memory: a packed copy of the keys and values of one head a worker, or of all heads where workers do not divide them.
/// `schedule.chunk` queries make a block (0: chosen).
template <class Fold, KeyPattern Pattern, Scalar S>
void attention_scan(const Fold& fold, const Pattern& pattern, const AttentionInputs<S>& in, SequenceView<S> y,
                    const ScanSchedule& schedule, Workspace& workspace, const AttentionRows<S>& kept = {}) {
  const Workspace::Scope scope(workspace);
  const AttentionSizes& n = in.sizes;
  detail::AttentionScan<Fold, Pattern, S> op{fold, pattern, in, y, kept};
  if (schedule.chunk > 0) op.rows = std::min(schedule.chunk, std::max<Index>(in.q.time, 1));
  const Index pairs = in.q.time * in.k.time, work = in.q.batch * n.heads * pairs * (n.key_dim + n.value_dim);
  const Index workers = worker_count(op.jobs(), work);
  const Index kv_heads = in.q.batch * n.kv_heads, sharing = op.sharing();
  const bool apart = n.kv_heads % workers == 0;
  op.packed = workspace.take<S>((apart ? workers : kv_heads) * detail::PackedKeys<S>::size(n, in.k.time));
  op.scratch = workspace.take<S>(workers * op.scratch_size());
  if (apart) {
    // Every worker has heads of its own, and their packed keys near while it works on them.
    detail::for_each_in_turn(kv_heads, workers, [&](Index head, Index worker) {
      op.pack(head, worker);
      for (Index job = head * sharing; job < (head + 1) * sharing; ++job) op.run(job, job + 1, worker, worker);
    });
  } else {
    detail::for_each_in_turn(kv_heads, workers, [&](Index head, Index) { op.pack(head, head); });
    detail::for_each_in_turn(op.jobs(), workers,
                             [&](Index job, Index worker) { op.run(job, job + workers, job / sharing, worker); });
  }
  clear_padding(in.q, y);
}

/// lse [batch, time, heads] of what a softmax kept of its rows.
template <Scalar S>
void attention_log_sums(const AttentionRows<S>& kept, SequenceView<S> lse) noexcept {
  for (Index b = 0; b < lse.batch; ++b) {
    for (Index t = 0; t < lse.length(b); ++t) {
      for (Index h = 0; h < lse.features; ++h) {
        lse.token(b, t)[h] = SoftmaxWeights<S>::log_sum(kept.maximum.token(b, t)[h], kept.sum.token(b, t)[h]);
      }
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
