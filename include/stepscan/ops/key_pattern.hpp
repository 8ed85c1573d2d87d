#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <span>
#include <stepscan/core/extent.hpp>
#include <stepscan/scan/executors.hpp>
#include <tuple>

namespace stepscan::inline STEPSCAN_ISA {

/// How much of a block of pairs of queries and keys may be seen.
enum class Visibility { none, partial, full };

/// Whose queries they are.
struct AttentionHead {
  Index batch = 0;
  Index head = 0;
  Index kv_head = 0;
};

/// Keys that a mask of 64 bits can hold.
inline constexpr Index mask_keys = 64;

/// Which keys a query sees, both counted from the first key. Attention asks for a block of queries which blocks of keys
/// to visit, and for the rows of blocks that are seen in part:
///
///   p.hull(head, queries)             a range outside which none of these queries sees a key; may go beyond the keys
///   p.look(head, queries, keys)       how much of a block is seen; `partial` may stand for either extreme
///   p.row(head, query, first)         bit j: whether the query sees key first + j, j < mask_keys
///
/// Ranges are not empty.
template <class P>
concept KeyPattern = requires(const P& p, const AttentionHead& head, TokenRange range, Index query) {
  { p.hull(head, range) } -> std::same_as<TokenRange>;
  { p.look(head, range, range) } -> std::same_as<Visibility>;
  { p.row(head, query, query) } -> std::same_as<std::uint64_t>;
};

/// The whole of a pattern, and how patterns are put together:
///   And<Causal, Or<Window<256>, Sinks<4>>> pattern;
namespace patterns {

/// All there are.
inline constexpr TokenRange everywhere{0, std::numeric_limits<Index>::max() / 2};

[[nodiscard]] constexpr TokenRange intersection(TokenRange a, TokenRange b) noexcept {
  const Index begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}
/// The shortest range that holds both.
[[nodiscard]] constexpr TokenRange hull_of(TokenRange a, TokenRange b) noexcept {
  if (a.size() == 0) return b;
  if (b.size() == 0) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

/// The bits of those of `seen` among the keys from `first` on.
[[nodiscard]] constexpr std::uint64_t bits_of(TokenRange seen, Index first) noexcept {
  const auto below = [](Index count) {
    return count <= 0 ? std::uint64_t{0} : count >= mask_keys ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  };
  return below(seen.end - first) & ~below(seen.begin - first);
}

/// How much of `keys` lies in `seen`, if that is what every query sees.
[[nodiscard]] constexpr Visibility visibility_in(TokenRange seen, TokenRange keys) noexcept {
  if (seen.begin >= keys.end || seen.end <= keys.begin) return Visibility::none;
  return seen.begin <= keys.begin && keys.end <= seen.end ? Visibility::full : Visibility::partial;
}

/// What patterns are whose queries see one run of keys each, seen(query), whose ends never fall from query to query.
template <class Self>
struct Interval {
  [[nodiscard]] constexpr TokenRange hull(const AttentionHead&, TokenRange queries) const noexcept {
    return {std::max<Index>(seen(queries.begin).begin, 0), std::max<Index>(seen(queries.end - 1).end, 0)};
  }
  [[nodiscard]] constexpr Visibility look(const AttentionHead&, TokenRange queries, TokenRange keys) const noexcept {
    const TokenRange first = seen(queries.begin), last = seen(queries.end - 1);
    if (first.begin >= keys.end || last.end <= keys.begin) return Visibility::none;
    return last.begin <= keys.begin && keys.end <= first.end ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] constexpr std::uint64_t row(const AttentionHead&, Index query, Index first) const noexcept {
    return bits_of(seen(query), first);
  }

 private:
  [[nodiscard]] constexpr TokenRange seen(Index query) const noexcept {
    return static_cast<const Self&>(*this).seen(query);
  }
};

/// Every key.
struct Full : Interval<Full> {
  [[nodiscard]] static constexpr TokenRange seen(Index) noexcept { return everywhere; }
};

/// No key behind the query.
struct Causal : Interval<Causal> {
  [[nodiscard]] static constexpr TokenRange seen(Index query) noexcept { return {0, query + 1}; }
};

/// Keys at a distance below W, before and behind.
template <Index W = Dynamic>
struct Window : Interval<Window<W>> {
  [[no_unique_address]] Extent<W> size;

  constexpr Window() noexcept = default;
  constexpr explicit Window(Extent<W> keys) noexcept : size(keys) {}
  [[nodiscard]] constexpr TokenRange seen(Index query) const noexcept { return {query - size + 1, query + size}; }
};

/// The first N keys.
template <Index N = Dynamic>
struct Sinks : Interval<Sinks<N>> {
  [[no_unique_address]] Extent<N> count;

  constexpr Sinks() noexcept = default;
  constexpr explicit Sinks(Extent<N> keys) noexcept : count(keys) {}
  [[nodiscard]] constexpr TokenRange seen(Index) const noexcept { return {0, count}; }
};

/// Every key, for the queries from `first` on, and none for those before.
struct LastQueries {
  Index first = 0;

  [[nodiscard]] constexpr TokenRange hull(const AttentionHead&, TokenRange queries) const noexcept {
    return queries.end > first ? everywhere : TokenRange{};
  }
  [[nodiscard]] constexpr Visibility look(const AttentionHead&, TokenRange queries, TokenRange) const noexcept {
    return visibility_in({first, everywhere.end}, queries);
  }
  [[nodiscard]] constexpr std::uint64_t row(const AttentionHead&, Index query, Index) const noexcept {
    return query >= first ? ~std::uint64_t{0} : 0;
  }
};

/// Keys at a distance that is a multiple of `step`.
struct Dilation {
  Index step = 1;

  [[nodiscard]] constexpr TokenRange hull(const AttentionHead&, TokenRange) const noexcept { return everywhere; }
  [[nodiscard]] constexpr Visibility look(const AttentionHead&, TokenRange, TokenRange) const noexcept {
    return step == 1 ? Visibility::full : Visibility::partial;
  }
  [[nodiscard]] constexpr std::uint64_t row(const AttentionHead&, Index query, Index first) const noexcept {
    std::uint64_t bits = 0;
    for (Index j = ((query - first) % step + step) % step; j < mask_keys; j += step) bits |= std::uint64_t{1} << j;
    return bits;
  }
};

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

/// What all of these see.
template <KeyPattern... Ps>
struct And {
  std::tuple<Ps...> parts;

  constexpr And() = default;
  constexpr explicit And(Ps... patterns) : parts(std::move(patterns)...) {}

  [[nodiscard]] constexpr TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept {
    TokenRange range = everywhere;
    std::apply([&](const auto&... p) { ((range = intersection(range, p.hull(head, queries))), ...); }, parts);
    return range;
  }
  [[nodiscard]] constexpr Visibility look(const AttentionHead& head, TokenRange queries,
                                          TokenRange keys) const noexcept {
    return std::apply(
        [&](const auto&... p) {
          Visibility least = Visibility::full;
          ((least = std::min(least, p.look(head, queries, keys)), least != Visibility::none) && ...);
          return least;
        },
        parts);
  }
  [[nodiscard]] constexpr std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    return std::apply([&](const auto&... p) { return (p.row(head, query, first) & ...); }, parts);
  }
};

/// What any of these sees.
template <KeyPattern... Ps>
struct Or {
  std::tuple<Ps...> parts;

  constexpr Or() = default;
  constexpr explicit Or(Ps... patterns) : parts(std::move(patterns)...) {}

  [[nodiscard]] constexpr TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept {
    TokenRange range;
    std::apply([&](const auto&... p) { ((range = hull_of(range, p.hull(head, queries))), ...); }, parts);
    return range;
  }
  [[nodiscard]] constexpr Visibility look(const AttentionHead& head, TokenRange queries,
                                          TokenRange keys) const noexcept {
    return std::apply(
        [&](const auto&... p) {
          Visibility most = Visibility::none;
          ((most = std::max(most, p.look(head, queries, keys)), most != Visibility::full) && ...);
          return most;
        },
        parts);
  }
  [[nodiscard]] constexpr std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    return std::apply([&](const auto&... p) { return (p.row(head, query, first) | ...); }, parts);
  }
};

}  // namespace patterns

static_assert(KeyPattern<patterns::Full> && KeyPattern<patterns::Causal> && KeyPattern<patterns::Dilation>);
static_assert(KeyPattern<patterns::And<patterns::Causal, patterns::Or<patterns::Window<>, patterns::Sinks<>>>>);

}  // namespace stepscan::inline STEPSCAN_ISA
