#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/ops/attention_fold.hpp>
#include <stepscan/ops/distance_bias.hpp>
#include <stepscan/ops/key_pattern.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The sizes of an attention. Query head h reads key/value head h div (heads / kv_heads).
struct AttentionSizes {
  Index heads = 0;
  Index kv_heads = 0;  ///< divides heads
  Index key_dim = 0;
  Index value_dim = 0;

  [[nodiscard]] constexpr Index group() const noexcept { return kv_heads == 0 ? 1 : heads / kv_heads; }
};

/// What a query folds before any key, of a softmax, and what is added to its result; nothing where data is null.
template <Scalar S>
struct AttentionStart {
  const S* logits = nullptr;  ///< [heads]: a further logit, not scaled, whose value is 0
  const S* key = nullptr;     ///< [heads, key_dim]: a further key ...
  const S* value = nullptr;   ///< [heads, value_dim]: ... and its value; 0 without
  const S* added = nullptr;   ///< [heads, value_dim], to every y
  bool shared = false;        ///< key, value and added are one for all heads

  [[nodiscard]] bool has_key() const noexcept { return logits != nullptr || key != nullptr; }
  /// The part of a head.
  template <class T>
  [[nodiscard]] T* of_head(T* data, Index h, Index dim) const noexcept {
    return data == nullptr || shared ? data : data + h * dim;
  }
};

/// The cotangents of an AttentionStart, of the same shapes; nothing where data is null.
template <Scalar S>
struct AttentionStartCotangents {
  S* logits = nullptr;
  S* key = nullptr;
  S* value = nullptr;
  S* added = nullptr;
};

/// Queries [batch, time, heads * key_dim], keys [batch, keys, kv_heads * key_dim] and values [batch, keys, kv_heads *
/// value_dim]. The lengths of q count queries, those of k the keys that may be seen. Patterns count keys and queries
/// from the first key; query 0 of a batch member is number `position`.
template <Scalar S>
struct AttentionInputs {
  AttentionSizes sizes;
  S scale{1};
  SequenceView<const S> q;
  SequenceView<const S> k;
  SequenceView<const S> v;
  AttentionStart<S> start{};
  Index position = 0;
  const Index* positions = nullptr;  ///< [batch], instead of one for all
  DistanceBias<S> distance{};

  [[nodiscard]] Index position_of(Index b) const noexcept { return positions == nullptr ? position : positions[b]; }
  [[nodiscard]] const S* query(Index b, Index h, Index t) const noexcept { return q.token(b, t) + h * sizes.key_dim; }
};

/// m and u of every query [batch, time, heads], for the backward pass and for log sums; nothing where data is null.
template <Scalar S>
struct AttentionRows {
  SequenceView<S> maximum;
  SequenceView<S> sum;
};

namespace detail {

/// Keys of a tile: as many as a row of a mask.
inline constexpr Index key_tile = mask_keys;
/// Queries of a tile: whole groups of a product's rows.
inline constexpr Index query_tile = 48 / product_tile.rows * product_tile.rows;

/// The keys and values of one key/value head of one batch member, packed once for all its queries: a tile of keys is
/// [key_dim, key_tile], multiplied by the unit of the logits; values are [keys, value_dim].
template <Scalar S>
struct PackedKeys {
  S* keys = nullptr;
  S* values = nullptr;
  Index key_dim = 0;
  Index value_dim = 0;

  [[nodiscard]] static Index tiles(Index keys) noexcept { return chunk_count(keys, key_tile); }
  [[nodiscard]] static Index size(const AttentionSizes& n, Index keys) noexcept {
    return tiles(keys) * key_tile * n.key_dim + keys * n.value_dim;
  }
  static PackedKeys at(S* memory, const AttentionSizes& n, Index keys) noexcept {
    return {memory, memory + tiles(keys) * key_tile * n.key_dim, n.key_dim, n.value_dim};
  }

  /// A few keys at a time, those after the next ones being asked for: rows of one head lie far apart.
  void pack(const AttentionInputs<S>& in, Index b, Index g, S unit) const noexcept {
    constexpr Index run = 8;
    static_assert(key_tile % run == 0);
    const Index count = in.k.length(b);
    const auto key = [&](Index j) { return in.k.token(b, j) + g * key_dim; };
    const auto value = [&](Index j) { return in.v.token(b, j) + g * value_dim; };
    for (Index first = 0; first < count; first += run) {
      const Index end = std::min(first + run, count);
      for (Index j = first + 2 * run; j < std::min(end + 2 * run, count); ++j) {
        prefetch_row(key(j), key_dim);
        prefetch_row(value(j), value_dim);
      }
      const Index tile = first / key_tile * key_tile;
      transpose_scaled({key(first), end - first, key_dim, in.k.time_stride}, unit,
                       keys + tile * key_dim + (first - tile));
      for (Index j = first; j < end; ++j) std::copy_n(value(j), value_dim, values + j * value_dim);
    }
  }

  /// Keys of a range inside a tile.
  [[nodiscard]] MatrixView<const S> keys_of(TokenRange range) const noexcept {
    const Index tile = range.begin / key_tile;
    return {keys + tile * key_tile * key_dim + range.begin % key_tile, key_dim, range.size(), key_tile};
  }
  /// The same and, of what follows in the tile, as many as fill a register: whatever numbers stand there.
  [[nodiscard]] MatrixView<const S> whole_registers_of(TokenRange range) const noexcept {
    constexpr Index width = simd_width<S>;
    const Index left = key_tile - range.begin % key_tile;
    return keys_of({range.begin, range.begin + std::min(chunk_count(range.size(), width) * width, left)});
  }
  [[nodiscard]] MatrixView<const S> values_of(TokenRange range) const noexcept {
    return {values + range.begin * value_dim, range.size(), value_dim};
  }

  /// to [columns, key_tile] = unit times the transpose of some rows.
  static void transpose_scaled(MatrixView<const S> rows, S unit, S* to) noexcept {
    const MatrixView<S> columns(to, rows.cols, rows.rows, key_tile);
    transpose<S>(rows, columns);
    if (unit == S{1}) return;
    for (Index d = 0; d < columns.rows; ++d) {
      transform(columns.row(d), columns.row(d), Index{columns.cols}, [&](Simd<S> x) { return x * Simd<S>(unit); });
    }
  }
};

/// Hides the keys whose bits are not set.
template <Scalar S>
void hide_keys(std::uint64_t seen, S* row, Index count) noexcept {
  const std::uint64_t hidden = patterns::bits_of({0, count}, 0) & ~seen;
  patterns::for_each_run(hidden, [&](Index first, Index length) {
    std::fill_n(row + first, length, -std::numeric_limits<S>::infinity());
  });
}

/// Adds to a row of logits, in a fold's unit, what the keys get by their distance from a query, if anything.
template <class Fold, Scalar S>
void add_distances(const Fold& fold, const AttentionInputs<S>& in, const AttentionHead& head, Index query,
                   TokenRange keys, S* row) noexcept {
  if (in.distance.slopes == nullptr) return;
  add_distance_bias<S>(fold.unit(in.distance.slopes[head.head]), in.distance.runs_from(head.batch, query), keys, row);
}

/// Calls f(keys, visibility) for the tiles of keys that some of the queries see, without what lies outside their hull.
template <KeyPattern Pattern, class F>
void for_each_key_tile(const Pattern& pattern, const AttentionHead& head, TokenRange queries, Index keys, F&& f) {
  using patterns::intersection;
  const TokenRange seen = intersection(pattern.hull(head, queries), {0, keys});
  for (Index tile = seen.begin / key_tile; tile * key_tile < seen.end; ++tile) {
    const TokenRange range = intersection(seen, {tile * key_tile, (tile + 1) * key_tile});
    const Visibility visibility = pattern.look(head, queries, range);
    if (visibility != Visibility::none) f(range, visibility);
  }
}

/// Queries [first, first + count) of one head, as patterns count them.
struct QueryBlock {
  AttentionHead head;
  Index first = 0;
  Index count = 0;
  Index position = 0;

  [[nodiscard]] TokenRange rows(Index begin, Index end) const noexcept { return {position + begin, position + end}; }
};

/// Calls f(first row, end row, keys seen) for groups of rows of a block that share a run of a tile's keys: all of them
/// where they see the whole of it, else as many as a product takes at once.
template <KeyPattern Pattern, class F>
void for_each_row_group(const Pattern& pattern, const QueryBlock& block, TokenRange keys, Visibility visibility,
                        F&& f) {
  const Index most = visibility == Visibility::partial ? Index{product_tile.rows} : block.count;
  for (Index first = 0; first < block.count; first += most) {
    const Index end = std::min(first + most, block.count);
    TokenRange seen = keys;
    if (visibility == Visibility::partial) {
      seen = patterns::intersection(keys, pattern.hull(block.head, block.rows(first, end)));
    }
    if (seen.size() > 0) f(first, end, seen);
  }
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
