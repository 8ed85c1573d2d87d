#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
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

/// Calls f(first, length) for the runs of set bits.
template <class F>
constexpr void for_each_run(std::uint64_t bits, F&& f) {
  while (bits != 0) {
    const int first = std::countr_zero(bits), length = std::countr_one(bits >> first);
    f(Index{first}, Index{length});
    bits = first + length == mask_keys ? 0 : bits >> (first + length) << (first + length);
  }
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
          static_cast<void>(((least = std::min(least, p.look(head, queries, keys)), least != Visibility::none) && ...));
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
          static_cast<void>(((most = std::max(most, p.look(head, queries, keys)), most != Visibility::full) && ...));
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
