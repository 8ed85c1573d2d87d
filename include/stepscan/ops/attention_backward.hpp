#pragma once

#include <stepscan/ops/attention.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What an attention gave, the cotangents of that (dlse may be a view of nothing; only a softmax has one), and places
/// for those of its inputs.
template <Scalar S>
struct AttentionCotangents {
  SequenceView<const S> y;
  SequenceView<const S> dy;
  SequenceView<const S> dlse;
  SequenceView<S> dq;
  SequenceView<S> dk;
  SequenceView<S> dv;
};

namespace detail {

/// The rows of a head, or of the keys of one, as one matrix.
template <Scalar S>
void copy_head(const SequenceView<const S>& from, Index b, Index first, MatrixView<S> to) noexcept {
  constexpr Index before = 16;  // rows that are asked for ahead: those of one head lie far apart
  for (Index t = 0; t < to.rows; ++t) {
    if (t + before < to.rows) prefetch_row(from.token(b, t + before) + first, Index{to.cols});
    std::copy_n(from.token(b, t) + first, Index{to.cols}, to.row(t));
  }
}

/// g.y of a query, without what was added to y.
template <Scalar S>
[[nodiscard]] S pulled_result(const AttentionInputs<S>& in, const AttentionCotangents<S>& to, Index b, Index h,
                              Index t) noexcept {
  const Index count = in.sizes.value_dim;
  const S *const g = to.dy.token(b, t) + h * count, *const added = in.start.of_head(in.start.added, h, count);
  const S product = dot<S>(g, to.y.token(b, t) + h * count, count);
  return added == nullptr ? product : product - dot<S>(g, added, count);
}

/// The weights are worked out once more, tile by tile; with g the cotangent of y, r the fold's inverse and e its
/// offset,
///   P = r a(S),  dS = scale r a'(S) (G V^T - e),   dV += P^T G,  dK += dS^T Q,  dQ += dS K.
/// A job has one key/value head of one batch member, and so all that is added to the cotangents of its keys.
template <class Fold, KeyPattern Pattern, Scalar S>
struct AttentionBackward {
  Fold fold;
  Pattern pattern;
  AttentionInputs<S> in;
  AttentionRows<S> kept;
  AttentionCotangents<S> to;
  S* scratch = nullptr;  ///< per worker

  /// The memory of a job.
  struct Tiles {
    MatrixView<S> keys, q, g, dq, weights, dscores, dkeys, dvalues;
    S *scaled_keys, *transposed_values;  ///< tiles [dim, key_tile]
    S *maximum, *inverse, *offset;

    template <class Take>
    Tiles(const AttentionSizes& n, Index queries, Index key_count, Take&& take)
        : keys(take(key_count, n.key_dim)),
          q(take(queries, n.key_dim)),
          g(take(queries, n.value_dim)),
          dq(take(queries, n.key_dim)),
          weights(take(query_tile, key_tile)),
          dscores(take(query_tile, key_tile)),
          dkeys(take(key_tile, n.key_dim)),
          dvalues(take(key_tile, n.value_dim)),
          scaled_keys(take(chunk_count(key_count, key_tile) * key_tile, n.key_dim).data),
          transposed_values(take(chunk_count(key_count, key_tile) * key_tile, n.value_dim).data),
          maximum(take(queries, 1).data),
          inverse(take(queries, 1).data),
          offset(take(queries, 1).data) {}
  };
  [[nodiscard]] Tiles tiles(S* memory) const noexcept {
    return Tiles(in.sizes, in.q.time, in.k.time, [&](Index rows, Index cols) {
      S* const data = memory;
      memory += rows * cols;
      return MatrixView<S>(data, rows, cols);
    });
  }
  [[nodiscard]] Index scratch_size() const noexcept {
    Index size = 0;
    static_cast<void>(Tiles(in.sizes, in.q.time, in.k.time, [&](Index rows, Index cols) {
      size += rows * cols;
      return MatrixView<S>();
    }));
    return size;
  }

  void run(Index job, Index worker) const noexcept {
    const AttentionSizes& n = in.sizes;
    const Index b = job / n.kv_heads, g = job % n.kv_heads, keys = in.k.length(b);
    const Tiles m = tiles(scratch + worker * scratch_size());
    copy_head(in.k, b, g * n.key_dim, m.keys.middle_rows(0, keys));
    for (Index first = 0; first < keys; first += key_tile) {
      const Index count = std::min(key_tile, keys - first);
      PackedKeys<S>::transpose_scaled(m.keys.middle_rows(first, count), fold.unit(in.scale),
                                      m.scaled_keys + first * n.key_dim);
      PackedKeys<S>::transpose_scaled({in.v.token(b, first) + g * n.value_dim, count, n.value_dim, in.v.time_stride},
                                      S{1}, m.transposed_values + first * n.value_dim);
    }
    for (Index t = 0; t < keys; ++t) {
      std::fill_n(to.dk.token(b, t) + g * n.key_dim, n.key_dim, S{0});
      std::fill_n(to.dv.token(b, t) + g * n.value_dim, n.value_dim, S{0});
    }
    for (Index h = g * n.group(); h < (g + 1) * n.group(); ++h) {
      prepare_rows(b, h, m);
      for (Index first = 0; first < keys; first += key_tile) {
        key_block({b, h, g}, {first, std::min(first + key_tile, keys)}, m);
      }
      for (Index t = 0; t < in.q.length(b); ++t) {
        std::copy_n(m.dq.row(t), n.key_dim, to.dq.token(b, t) + h * n.key_dim);
      }
    }
  }

 private:
  void prepare_rows(Index b, Index h, const Tiles& m) const noexcept {
    const AttentionSizes& n = in.sizes;
    const Index queries = in.q.length(b);
    copy_head(in.q, b, h * n.key_dim, m.q.middle_rows(0, queries));
    copy_head(to.dy, b, h * n.value_dim, m.g.middle_rows(0, queries));
    for (Index t = 0; t < queries; ++t) {
      std::fill_n(m.dq.row(t), n.key_dim, S{0});
      const S dlse = to.dlse.data == nullptr ? S{0} : to.dlse.token(b, t)[h];
      m.maximum[t] = kept.maximum.token(b, t)[h];
      m.inverse[t] = fold.inverse(kept.sum.token(b, t)[h]);
      m.offset[t] = fold.offset(pulled_result(in, to, b, h, t), m.inverse[t], dlse);
    }
  }

  /// All queries of a head against one tile of keys.
  void key_block(const AttentionHead& head, TokenRange tile, const Tiles& m) const noexcept {
    const AttentionSizes& n = in.sizes;
    const Index queries = in.q.length(head.batch), position = in.position_of(head.batch);
    std::fill_n(m.dkeys.data, key_tile * n.key_dim, S{0});
    std::fill_n(m.dvalues.data, key_tile * n.value_dim, S{0});
    for (Index t = 0; t < queries; t += query_tile) {
      const QueryBlock block{head, t, std::min(query_tile, queries - t), position + t};
      const TokenRange rows = block.rows(0, block.count);
      const TokenRange keys = patterns::intersection(pattern.hull(head, rows), tile);
      if (keys.size() == 0) continue;
      const Visibility visibility = pattern.look(head, rows, keys);
      if (visibility != Visibility::none) pair(block, tile, keys, visibility, m);
    }
    add_rows<S>(m.dkeys.middle_rows(0, tile.size()), rows_of(to.dk, head, tile, n.key_dim));
    add_rows<S>(m.dvalues.middle_rows(0, tile.size()), rows_of(to.dv, head, tile, n.value_dim));
  }
  static MatrixView<S> rows_of(const SequenceView<S>& d, const AttentionHead& head, TokenRange tile,
                               Index dim) noexcept {
    return {d.token(head.batch, tile.begin) + head.kv_head * dim, tile.size(), dim, d.time_stride};
  }

  void pair(const QueryBlock& block, TokenRange tile, TokenRange keys, Visibility visibility,
            const Tiles& m) const noexcept {
    const AttentionSizes& n = in.sizes;
    const Index count = block.count, first = block.first, at = keys.begin - tile.begin;
    const MatrixView<const S> q = m.q.middle_rows(first, count), g = m.g.middle_rows(first, count);
    const MatrixView<S> weights(m.weights.data, count, keys.size(), key_tile),
        dscores(m.dscores.data, count, keys.size(), key_tile);
    if (visibility == Visibility::partial) {
      // What no query of a group sees is not worked out.
      std::fill_n(weights.data, count * key_tile, S{0});
      std::fill_n(dscores.data, count * key_tile, S{0});
    }
    for_each_row_group(pattern, block, keys, visibility, [&](Index begin, Index end, TokenRange seen) {
      const auto tile_of = [&](S* tiles, Index dim) {
        return MatrixView<const S>(tiles + tile.begin * dim + seen.begin - tile.begin, dim, seen.size(), key_tile);
      };
      const auto part_of = [&](const MatrixView<S>& scores) {
        return MatrixView<S>(scores.row(begin) + seen.begin - keys.begin, end - begin, seen.size(), key_tile);
      };
      const MatrixView<S> p = part_of(weights), ds = part_of(dscores);
      small_multiply<S>(factor<S>(q.middle_rows(begin, end - begin)), tile_of(m.scaled_keys, n.key_dim), p);
      small_multiply<S>(factor<S>(g.middle_rows(begin, end - begin)), tile_of(m.transposed_values, n.value_dim), ds);
      for (Index i = begin; i < end; ++i) {
        S* const row = p.row(i - begin);
        add_distances(fold, in, block.head, block.position + i, seen, row);
        if (visibility == Visibility::partial) {
          hide_keys(pattern.row(block.head, block.position + i, seen.begin), row, seen.size());
        }
        fold.pull(row, seen.size(), ds.row(i - begin), m.maximum[first + i], m.inverse[first + i], m.offset[first + i],
                  in.scale);
      }
      small_multiply_add<S>(factor<S>(ds), m.keys.middle_rows(seen.begin, seen.size()),
                            m.dq.middle_rows(first + begin, end - begin));
    });
    small_multiply_add<S>(transposed_factor<S>(weights), g, m.dvalues.middle_rows(at, keys.size()));
    small_multiply_add<S>(transposed_factor<S>(dscores), q, m.dkeys.middle_rows(at, keys.size()));
  }
};

}  // namespace detail

/// The backward pass of attention_scan; `kept` are the rows that it kept. Writes dq, dk and dv, zero in padding. What
/// queries start with is left to attention_start_backward.
template <class Fold, KeyPattern Pattern, Scalar S>
void attention_scan_backward(const Fold& fold, const Pattern& pattern, const AttentionInputs<S>& in,
                             const AttentionRows<S>& kept, const AttentionCotangents<S>& to, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const AttentionSizes& n = in.sizes;
  detail::AttentionBackward<Fold, Pattern, S> op{fold, pattern, in, kept, to, nullptr};
  const Index jobs = in.q.batch * n.kv_heads;
  const Index workers =
      worker_count(jobs, in.q.batch * n.heads * in.q.time * in.k.time * (n.key_dim + n.value_dim) * 2);
  op.scratch = workspace.take<S>(workers * op.scratch_size());
  detail::for_each_in_turn(jobs, workers, [&](Index job, Index worker) { op.run(job, worker); });
  clear_padding(in.q, to.dq);
  clear_padding(in.k, to.dk);
  clear_padding(in.k, to.dv);
}

/// What the further key of every query gets, of a softmax: with s its logit, p = exp(s - lse) and
/// ds = p (g.value - g.y + c),
///   dlogit += ds,  dkey += scale ds q,  dq += scale ds key,  dvalue += p g,
/// and dadded += g. Adds to dstart and to dq.
template <Scalar S>
void attention_start_backward(const AttentionInputs<S>& in, const AttentionRows<S>& kept,
                              const AttentionCotangents<S>& to, const AttentionStartCotangents<S>& dstart) noexcept {
  using Fold = SoftmaxWeights<S>;
  const AttentionSizes& n = in.sizes;
  const AttentionStart<S>& start = in.start;
  const auto add = [](S a, const S* x, S* y, Index count) {
    if (x != nullptr && y != nullptr) add_scaled(a, x, y, count);
  };
  const auto add_query = [&](Index b, Index t, Index h) {
    const S *const q = in.query(b, h, t), *const g = to.dy.token(b, t) + h * n.value_dim;
    add(S{1}, g, start.of_head(dstart.added, h, n.value_dim), n.value_dim);
    if (!start.has_key()) return;
    const S* const key = start.of_head(start.key, h, n.key_dim);
    const S* const value = start.of_head(start.value, h, n.value_dim);
    const S logit =
        start.logits != nullptr ? Fold::unit(start.logits[h]) : Fold::unit(in.scale) * dot<S>(q, key, n.key_dim);
    const S p = std::exp2(logit - kept.maximum.token(b, t)[h]) * Fold::inverse(kept.sum.token(b, t)[h]);
    const S c = to.dlse.data == nullptr ? S{0} : to.dlse.token(b, t)[h];
    const S pulled = value == nullptr ? S{0} : dot<S>(g, value, n.value_dim);
    const S ds = p * (pulled - detail::pulled_result(in, to, b, h, t) + c);
    if (dstart.logits != nullptr) dstart.logits[h] += ds;
    add(in.scale * ds, key, to.dq.token(b, t) + h * n.key_dim, n.key_dim);
    if (key != nullptr) add(in.scale * ds, q, start.of_head(dstart.key, h, n.key_dim), n.key_dim);
    add(p, g, start.of_head(dstart.value, h, n.value_dim), n.value_dim);
  };
  for (Index b = 0; b < in.q.batch; ++b) {
    for (Index t = 0; t < in.q.length(b); ++t) {
      for (Index h = 0; h < n.heads; ++h) add_query(b, t, h);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
