#pragma once

#include <stepscan/ops/attention_step.hpp>
#include <stepscan/ops/kept_tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The query of the latest token of batch member b, which sees what the pattern shows it of the tokens that are kept:
/// keys and values lie in the rows that `kept` says, of attention_step's shapes; the pattern counts all tokens. Tiles
/// that no head sees are not read. Scratch, m and u as for attention_step.
template <class Fold, KeyPattern Pattern, Scalar S, StoredFor<S> Stored>
[[gnu::noinline]] void pattern_step(const Fold& fold, const Pattern& pattern, const KeptTokens& kept, Index b,
                                    const AttentionInputs<S>& in, const S* query, const Stored* keys,
                                    const Stored* values, S* y, S* scratch, S* maximum = nullptr,
                                    S* sum = nullptr) noexcept {
  using detail::key_tile;
  const AttentionSizes& n = in.sizes;
  detail::StepFold<Fold, S, Stored> op(fold, in, query, keys, values, scratch);
  const bool far = detail::is_far<Stored>(n, kept.count());
  const Index own = kept.seen - 1;
  const auto tile = [&](Index row, Index last_row, TokenRange tokens) {
    const auto look = [&](Index h) { return pattern.look({b, h, h / n.group()}, {own, own + 1}, tokens); };
    bool all = true;
    for (Index h = 0; h < n.heads && all; ++h) all = look(h) == Visibility::full;
    if (all) return op.rows(row, tokens.size(), far, last_row);
    for (Index h = 0; h < n.heads; ++h) {
      if (look(h) == Visibility::none) continue;
      const Index g = h / n.group();
      const std::uint64_t seen = pattern.row({b, h, g}, own, tokens.begin) & patterns::bits_of(tokens, tokens.begin);
      if (seen != 0) op.some_rows(h, g, row, seen);
    }
  };
  kept.for_each_run([&](Index row, Index token, Index count) {
    // Tiles of tokens and not of rows, for blocks of keys begin and end with them.
    for (Index t = token; t < token + count;) {
      const Index end = std::min((t / key_tile + 1) * key_tile, token + count);
      tile(row + t - token, row + count, {t, end});
      t = end;
    }
  });
  op.finish(y, maximum, sum);
}

}  // namespace stepscan::inline STEPSCAN_ISA
