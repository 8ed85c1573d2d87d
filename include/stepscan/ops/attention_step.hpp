#pragma once

#include <stepscan/ops/attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Calls f(i, integral_constant<int, vectors>) for strips of whole registers of n numbers, long ones first, and returns
/// where what is left begins: less than a register.
template <Scalar S, class F>
[[gnu::always_inline]] inline Index for_each_strip(Index n, F&& f) {
  constexpr Index width = simd_width<S>;
  Index i = 0;
  for (; i + 8 * width <= n; i += 8 * width) f(i, std::integral_constant<int, 8>{});
  for (; i + 4 * width <= n; i += 4 * width) f(i, std::integral_constant<int, 4>{});
  for (; i + width <= n; i += width) f(i, std::integral_constant<int, 1>{});
  return i;
}

/// Asks for numbers that are needed soon: keys and values come from memory, at its speed.
template <Scalar S>
[[gnu::always_inline]] inline void prefetch_row(const S* row, Index count) noexcept {
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  for (Index i = 0; i < count; i += line) __builtin_prefetch(row + i);
}

/// Rows in memory: of keys or values of one head.
template <Scalar S>
struct HeadRows {
  const S* data = nullptr;
  Index count = 0;
  Index dim = 0;
  Index stride = 0;

  [[nodiscard]] const S* row(Index j) const noexcept { return data + j * stride; }
};

/// x[j] = q.row j. Asks for the rows of `next` meanwhile.
template <Scalar S>
void products_with_rows(const S* q, const HeadRows<S>& rows, const HeadRows<S>& next, S* x) noexcept {
  constexpr Index width = simd_width<S>;
  std::fill_n(x, rows.count, S{0});
  const Index rest = for_each_strip<S>(rows.dim, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
    Simd<S> own[Vectors];
    for (int v = 0; v < Vectors; ++v) own[v] = load(q + i + v * width);
    for (Index j = 0; j < rows.count; ++j) {
      const S* const row = rows.row(j) + i;
      Simd<S> total = own[0] * load(row);
#pragma GCC unroll 8
      for (int v = 1; v < Vectors; ++v) total = fma(own[v], load(row + v * width), total);
      x[j] += sum(total);
      if (i == 0 && j < next.count) prefetch_row(next.row(j), next.dim);
    }
  });
  if (rest == rows.dim) return;
  for (Index j = 0; j < rows.count; ++j) x[j] += dot<S>(q + rest, rows.row(j) + rest, rows.dim - rest);
}

/// w = rescale w + the sum of weights[j] row j. Asks for the rows of `next` meanwhile.
template <Scalar S>
void add_weighted_rows(const S* weights, const HeadRows<S>& rows, const HeadRows<S>& next, S rescale, S* w) noexcept {
  constexpr Index width = simd_width<S>;
  const Index rest = for_each_strip<S>(rows.dim, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
    Simd<S> total[Vectors];
    for (int v = 0; v < Vectors; ++v) total[v] = load(w + i + v * width) * Simd<S>(rescale);
    for (Index j = 0; j < rows.count; ++j) {
      const S* const row = rows.row(j) + i;
      const Simd<S> weight(weights[j]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) total[v] = fma(weight, load(row + v * width), total[v]);
      if (i == 0 && j < next.count) prefetch_row(next.row(j), next.dim);
    }
    for (int v = 0; v < Vectors; ++v) store(w + i + v * width, total[v]);
  });
  const Index left = rows.dim - rest;
  if (left == 0) return;
  Simd<S> total = load_n(w + rest, left) * Simd<S>(rescale);
  for (Index j = 0; j < rows.count; ++j) total = fma(Simd<S>(weights[j]), load_n(rows.row(j) + rest, left), total);
  store_n(w + rest, total, left);
}

/// What attention_step needs beside its inputs: the queries in the logits' unit, the logits of a tile of keys, m, u and
/// w.
[[nodiscard]] constexpr Index attention_step_size(const AttentionSizes& n) noexcept {
  return n.heads * (n.key_dim + key_tile + 2 + n.value_dim);
}

}  // namespace detail

/// One query of one batch member against `count` keys [kv_heads * key_dim] and values [kv_heads * value_dim], row after
/// row in memory, all of which it sees. `scratch` holds attention_step_size(sizes) numbers; m and u [heads] are kept
/// where there is a place for them.
template <class Fold, Scalar S>
[[gnu::noinline]] void attention_step(const Fold& fold, const AttentionInputs<S>& in, const S* query, const S* keys,
                                      const S* values, Index count, S* y, S* scratch, S* maximum = nullptr,
                                      S* sum = nullptr) noexcept {
  using detail::key_tile;
  using Rows = detail::HeadRows<S>;
  const AttentionSizes& n = in.sizes;
  S *const scaled = scratch, *const logits = scaled + n.heads * n.key_dim, *const maxima = logits + n.heads * key_tile;
  S *const sums = maxima + n.heads, *const weighted = sums + n.heads;
  const Simd<S> unit(fold.unit(in.scale));
  transform(scaled, query, n.heads * n.key_dim, [&](Simd<S> q) { return q * unit; });
  for (Index h = 0; h < n.heads; ++h) {
    detail::start_row(fold, in, h, query + h * n.key_dim, maxima[h], sums[h], weighted + h * n.value_dim);
  }
  const auto keys_of = [&](Index h, Index first) {
    const Index stride = n.kv_heads * n.key_dim, tile = std::min(key_tile, std::max<Index>(count - first, 0));
    return Rows{keys + first * stride + h / n.group() * n.key_dim, tile, n.key_dim, stride};
  };
  const auto values_of = [&](Index h, Index first) {
    const Index stride = n.kv_heads * n.value_dim, tile = std::min(key_tile, count - first);
    return Rows{values + first * stride + h / n.group() * n.value_dim, tile, n.value_dim, stride};
  };
  for (Index first = 0; first < count; first += key_tile) {
    for (Index h = 0; h < n.heads; ++h) {
      detail::products_with_rows(scaled + h * n.key_dim, keys_of(h, first), values_of(h, first), logits + h * key_tile);
    }
    for (Index h = 0; h < n.heads; ++h) {
      S* const weights = logits + h * key_tile;
      const Rows rows = values_of(h, first);
      const S before = maxima[h];
      S rescale;
      maxima[h] = fold.largest(weights, rows.count, before);
      fold.rescale(&before, &maxima[h], 1, &rescale);
      sums[h] = rescale * sums[h] + fold.weigh(weights, rows.count, maxima[h]);
      detail::add_weighted_rows(weights, rows, keys_of(h, first + key_tile), rescale, weighted + h * n.value_dim);
    }
  }
  for (Index h = 0; h < n.heads; ++h) {
    detail::finish_row(fold, in, h, sums[h], weighted + h * n.value_dim, y + h * n.value_dim);
  }
  if (maximum != nullptr) std::copy_n(maxima, n.heads, maximum);
  if (sum != nullptr) std::copy_n(sums, n.heads, sum);
}

}  // namespace stepscan::inline STEPSCAN_ISA
