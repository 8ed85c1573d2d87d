#pragma once

#include <limits>
#include <span>
#include <stepscan/ops/key_pattern.hpp>

/// Patterns that are not a formula of positions: blocks that somebody chose, lines, runs, picked queries.
namespace stepscan::inline STEPSCAN_ISA::patterns {

/// Whole blocks of `block` queries and keys: those for which chosen(head, query block, key block).
template <class Chosen>
struct Blocks {
  Index block = 1;
  Chosen chosen;

  [[nodiscard]] TokenRange hull(const AttentionHead&, TokenRange) const noexcept { return everywhere; }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange keys) const noexcept {
    bool any = false, all = true;
    for (Index i = queries.begin / block; i * block < queries.end; ++i) {
      for (Index j = keys.begin / block; j * block < keys.end; ++j) {
        const bool seen = chosen(head, i, j);
        any = any || seen;
        all = all && seen;
        if (any && !all) return Visibility::partial;
      }
    }
    return any ? Visibility::full : Visibility::none;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    std::uint64_t bits = 0;
    for (Index j = first / block; j * block < first + mask_keys; ++j) {
      if (chosen(head, query / block, j)) bits |= bits_of({j * block, (j + 1) * block}, first);
    }
    return bits;
  }
};

/// For Blocks: the last `local` blocks and every stride-th, a different one for every key/value head, of which the last
/// `dense_heads` see all (S2-Attention, arXiv 2407.17678).
struct Strided {
  Index local = 1;
  Index stride = 1;
  Index head_step = 1;
  Index head_offset = 0;
  Index first_dense_head = std::numeric_limits<Index>::max();

  [[nodiscard]] constexpr bool operator()(const AttentionHead& head, Index i, Index j) const noexcept {
    if (head.kv_head >= first_dense_head) return true;
    return i - j < local || (j + head.kv_head * head_step + head_offset) % stride == 0;
  }
};

/// For Blocks: layout [batch or 1, heads or 1, query blocks, key blocks], not 0 where chosen. The layout stays the
/// caller's.
struct Layout {
  std::span<const std::uint8_t> layout;
  Index heads = 1;
  Index query_blocks = 0;
  Index key_blocks = 0;
  bool per_batch = false;

  [[nodiscard]] bool operator()(const AttentionHead& head, Index i, Index j) const noexcept {
    if (i >= query_blocks || j >= key_blocks) return false;
    const Index h = (per_batch ? head.batch * heads : 0) + (heads == 1 ? 0 : head.head);
    return layout[static_cast<std::size_t>((h * query_blocks + i) * key_blocks + j)] != 0;
  }
};

/// Lists of positions, one per head of every batch member or shared by all members: [batch or 1, heads, count], each
/// ascending. They stay the caller's.
struct PositionLists {
  std::span<const Index> positions;
  Index heads = 1;
  Index count = 0;
  bool per_batch = false;

  [[nodiscard]] std::span<const Index> of(const AttentionHead& head) const noexcept {
    const Index list = (per_batch ? head.batch * heads : 0) + head.head;
    return positions.subspan(static_cast<std::size_t>(list * count), static_cast<std::size_t>(count));
  }
  /// How many of a head's lie in a range.
  [[nodiscard]] Index count_in(const AttentionHead& head, TokenRange range) const noexcept {
    const auto own = of(head);
    return std::lower_bound(own.begin(), own.end(), range.end) - std::lower_bound(own.begin(), own.end(), range.begin);
  }
};

/// The keys in a list: vertical lines.
struct Columns {
  PositionLists keys;

  [[nodiscard]] TokenRange hull(const AttentionHead&, TokenRange) const noexcept { return everywhere; }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange, TokenRange range) const noexcept {
    const Index count = keys.count_in(head, range);
    return count == 0 ? Visibility::none : count == range.size() ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index, Index first) const noexcept {
    std::uint64_t bits = 0;
    const auto own = keys.of(head);
    for (auto at = std::lower_bound(own.begin(), own.end(), first); at != own.end() && *at < first + mask_keys; ++at) {
      bits |= std::uint64_t{1} << (*at - first);
    }
    return bits;
  }
};

/// The keys at distances (query - key) in a list: slashes.
struct Slashes {
  PositionLists distances;

  [[nodiscard]] TokenRange hull(const AttentionHead&, TokenRange) const noexcept { return everywhere; }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange range) const noexcept {
    const TokenRange all{queries.begin - range.end + 1, queries.end - range.begin};
    const Index count = distances.count_in(head, all);
    return count == 0 ? Visibility::none : count == all.size() ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    std::uint64_t bits = 0;
    const auto own = distances.of(head);
    auto at = std::lower_bound(own.begin(), own.end(), query - first - mask_keys + 1);
    for (; at != own.end() && *at <= query - first; ++at) bits |= std::uint64_t{1} << (query - *at - first);
    return bits;
  }
};

/// Runs of keys for every block of queries: those of block i of a head of a batch member are
/// runs[first[list]] to runs[first[list + 1]], list = (batch * heads + head) * blocks + i. They stay the caller's.
struct Runs {
  std::span<const TokenRange> runs;
  std::span<const Index> first;
  Index heads = 1;
  Index blocks = 0;
  Index block = 1;

  [[nodiscard]] TokenRange hull(const AttentionHead&, TokenRange) const noexcept { return everywhere; }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange keys) const noexcept {
    bool any = false, all = true;
    for (Index i = queries.begin / block; i * block < queries.end; ++i) {
      bool whole = false;
      for (const TokenRange& run : of(head, i)) {
        any = any || intersection(run, keys).size() > 0;
        whole = whole || intersection(run, keys).size() == keys.size();
      }
      all = all && whole;
    }
    return !any ? Visibility::none : all ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index begin) const noexcept {
    std::uint64_t bits = 0;
    for (const TokenRange& run : of(head, query / block)) bits |= bits_of(run, begin);
    return bits;
  }

 private:
  [[nodiscard]] std::span<const TokenRange> of(const AttentionHead& head, Index i) const noexcept {
    const auto list = static_cast<std::size_t>((head.batch * heads + head.head) * blocks + i);
    return runs.subspan(static_cast<std::size_t>(first[list]), static_cast<std::size_t>(first[list + 1] - first[list]));
  }
};

/// Causal for queries that were picked: query i is the one at position positions[batch][i], ascending. The lists
/// [batch, count] stay the caller's.
struct CausalPicked {
  std::span<const Index> positions;
  Index count = 0;

  [[nodiscard]] TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept {
    return {0, at(head, queries.end - 1) + 1};
  }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange keys) const noexcept {
    if (at(head, queries.end - 1) < keys.begin) return Visibility::none;
    return keys.end <= at(head, queries.begin) + 1 ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    return bits_of({0, at(head, query) + 1}, first);
  }

 private:
  [[nodiscard]] Index at(const AttentionHead& head, Index query) const noexcept {
    return positions[static_cast<std::size_t>(head.batch * count + query)];
  }
};

static_assert(KeyPattern<Blocks<Strided>> && KeyPattern<Blocks<Layout>> && KeyPattern<Columns> && KeyPattern<Slashes>);
static_assert(KeyPattern<Runs> && KeyPattern<CausalPicked>);

}  // namespace stepscan::inline STEPSCAN_ISA::patterns
