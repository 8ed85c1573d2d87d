#pragma once

#include <stepscan/ops/key_pattern.hpp>

/// Sequences of which not all tokens are kept: the first `sinks`, which stay where they are, and behind them a ring of
/// the latest ones.
namespace stepscan::inline STEPSCAN_ISA {

/// Of `seen` tokens the kept ones, in `capacity` rows: token p stands in row p, or sinks + (p - sinks) mod
/// (capacity - sinks).
struct KeptTokens {
  Index seen = 0;
  Index capacity = 1;
  Index sinks = 0;

  [[nodiscard]] constexpr Index count() const noexcept { return std::min(seen, capacity); }
  /// Tokens that are gone, all of them behind the sinks.
  [[nodiscard]] constexpr Index gone() const noexcept { return seen - count(); }
  [[nodiscard]] constexpr Index row_of(Index token) const noexcept {
    return token < sinks ? token : sinks + (token - sinks) % (capacity - sinks);
  }
  /// The row of the i-th kept token, in the order of time.
  [[nodiscard]] constexpr Index row(Index i) const noexcept { return i < sinks ? i : row_of(i + gone()); }

  /// Calls f(first row, first token, count) for runs of rows whose tokens follow each other.
  template <class F>
  constexpr void for_each_run(F&& f) const {
    const auto run = [&](Index row, Index token, Index length) {
      if (length > 0) f(row, token, length);
    };
    if (gone() == 0) return run(0, 0, seen);
    const Index ring = capacity - sinks, newest = row_of(seen - 1) - sinks;
    run(0, 0, sinks);
    run(sinks, seen - 1 - newest, newest + 1);
    run(sinks + newest + 1, seen - ring, ring - newest - 1);
  }
};

namespace patterns {

/// A pattern that counts all tokens, for queries and keys that are counted without those that are gone: key i is token
/// i below `sinks` and token i + gone behind, as are queries. seen [batch] are the tokens before the first query.
template <KeyPattern P>
struct OfKept {
  P pattern;
  const std::int64_t* seen = nullptr;
  Index capacity = 1;
  Index sinks = 0;

  [[nodiscard]] TokenRange hull(const AttentionHead& head, TokenRange queries) const noexcept {
    const Index gone = gone_of(head);
    const TokenRange tokens = pattern.hull(head, moved(queries, gone));
    const auto place = [&](Index token) { return token <= sinks ? token : std::max(sinks, token - gone); };
    return {place(tokens.begin), place(tokens.end)};
  }
  [[nodiscard]] Visibility look(const AttentionHead& head, TokenRange queries, TokenRange keys) const noexcept {
    const Index gone = gone_of(head);
    if (gone == 0) return pattern.look(head, queries, keys);
    const TokenRange first = intersection(keys, {0, sinks}), rest = intersection(keys, {sinks, everywhere.end});
    const auto part = [&](TokenRange tokens) { return pattern.look(head, moved(queries, gone), tokens); };
    if (first.size() == 0) return part(moved(rest, gone));
    if (rest.size() == 0) return part(first);
    const Visibility a = part(first), b = part(moved(rest, gone));
    return a == b ? a : Visibility::partial;
  }
  [[nodiscard]] std::uint64_t row(const AttentionHead& head, Index query, Index first) const noexcept {
    const Index gone = gone_of(head);
    if (gone == 0 || first >= sinks) return pattern.row(head, query + gone, first + gone);
    const std::uint64_t early = pattern.row(head, query + gone, first) & bits_of({first, sinks}, first);
    if (sinks - first >= mask_keys) return early;
    return early | pattern.row(head, query + gone, sinks + gone) << (sinks - first);
  }

 private:
  [[nodiscard]] Index gone_of(const AttentionHead& head) const noexcept {
    return KeptTokens{static_cast<Index>(seen[head.batch]), capacity, sinks}.gone();
  }
  [[nodiscard]] static TokenRange moved(TokenRange range, Index by) noexcept {
    return {range.begin + by, range.end + by};
  }
};

}  // namespace patterns

/// The smallest capacity, without sinks, at which no key of `tokens` tokens is gone that a later query of some head
/// sees, by the pattern's hull: all tokens unless it has a window.
template <KeyPattern P>
[[nodiscard]] Index capacity_for(const P& pattern, Index heads, Index kv_heads, Index tokens) {
  Index most = 1;
  for (Index h = 0; h < heads; ++h) {
    for (Index t = 0; t < tokens; ++t) {
      const Index begin = pattern.hull({0, h, h / (heads / kv_heads)}, {t, patterns::everywhere.end}).begin;
      most = std::max(most, t + 1 - std::min(begin, t));
    }
  }
  return most;
}

}  // namespace stepscan::inline STEPSCAN_ISA
