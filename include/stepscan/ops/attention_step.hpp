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

/// a.b, one chain of multiply-adds per lane.
template <Scalar S>
[[nodiscard, gnu::always_inline]] inline S strip_dot(const S* a, const S* b, Index n) noexcept {
  constexpr Index width = simd_width<S>;
  Simd<S> total(S{0});
  const Index rest = for_each_strip<S>(n, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) total = fma(load(a + i + v * width), load(b + i + v * width), total);
  });
  if (rest < n) total = fma(load_n(a + rest, n - rest), load_n(b + rest, n - rest), total);
  return sum(total);
}

/// w += weights[r] times row r, of `Rows` rows.
template <int Rows, Scalar S>
[[gnu::always_inline]] inline void add_rows_weighted(const S* weights, const S* rows, Index stride, Index n,
                                                     S* w) noexcept {
  constexpr Index width = simd_width<S>;
  const Index rest = for_each_strip<S>(n, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Simd<S> total = load(w + i + v * width);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) total = fma(Simd<S>(weights[r]), load(rows + r * stride + i + v * width), total);
      store(w + i + v * width, total);
    }
  });
  if (rest == n) return;
  Simd<S> total = load_n(w + rest, n - rest);
  for (int r = 0; r < Rows; ++r) total = fma(Simd<S>(weights[r]), load_n(rows + r * stride + rest, n - rest), total);
  store_n(w + rest, total, n - rest);
}

/// Asks for numbers that are needed soon.
template <Scalar S>
[[gnu::always_inline]] inline void prefetch_rows(const S* row, Index count) noexcept {
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  for (Index i = 0; i < count; i += line) __builtin_prefetch(row + i);
}

/// Bytes of keys and values beyond which they are taken to come from memory and not from a cache.
inline constexpr Index far_bytes = 16 * target_machine.l2_bytes;

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
  const AttentionSizes& n = in.sizes;
  S *const scaled = scratch, *const logits = scaled + n.heads * n.key_dim, *const maxima = logits + n.heads * key_tile;
  S *const sums = maxima + n.heads, *const weighted = sums + n.heads;
  const Simd<S> unit(fold.unit(in.scale));
  transform(scaled, query, n.heads * n.key_dim, [&](Simd<S> q) { return q * unit; });
  for (Index h = 0; h < n.heads; ++h) {
    detail::start_row(fold, in, h, query + h * n.key_dim, maxima[h], sums[h], weighted + h * n.value_dim);
  }
  // Keys and values are read in the order of memory, all heads of a token together. Where its speed is the limit, the
  // values are asked for while keys are worked on, and the next keys while values are.
  const Index key_row = n.kv_heads * n.key_dim, value_row = n.kv_heads * n.value_dim;
  const bool far = count * (key_row + value_row) * static_cast<Index>(sizeof(S)) > detail::far_bytes;
  const auto add_values = [&]<int Rows>(std::integral_constant<int, Rows>, Index j, const S* rows) {
    for (Index h = 0; h < n.heads; ++h) {
      detail::add_rows_weighted<Rows>(logits + h * key_tile + j, rows + h / n.group() * n.value_dim, value_row,
                                      n.value_dim, weighted + h * n.value_dim);
    }
  };
  for (Index first = 0; first < count; first += key_tile) {
    const Index tile = std::min(key_tile, count - first);
    for (Index j = 0; j < tile; ++j) {
      const S* const row = keys + (first + j) * key_row;
      if (far) detail::prefetch_rows(values + (first + j) * value_row, value_row);
      for (Index h = 0; h < n.heads; ++h) {
        logits[h * key_tile + j] =
            detail::strip_dot(scaled + h * n.key_dim, row + h / n.group() * n.key_dim, n.key_dim);
      }
    }
    for (Index h = 0; h < n.heads; ++h) {
      S *const weights = logits + h * key_tile, *const w = weighted + h * n.value_dim;
      if (in.distance.slopes != nullptr) {
        add_distance_bias<S>(fold.unit(in.distance.slopes[h]), in.distance.runs, {first, first + tile}, weights);
      }
      const S before = maxima[h];
      S rescale;
      maxima[h] = fold.largest(weights, tile, before);
      fold.rescale(&before, &maxima[h], 1, &rescale);
      sums[h] = rescale * sums[h] + fold.weigh(weights, tile, maxima[h]);
      transform(w, w, n.value_dim, [&](Simd<S> x) { return x * Simd<S>(rescale); });
    }
    Index j = 0;
    const S* const rows = values + first * value_row;
    for (; j + 4 <= tile; j += 4) {
      if (far) detail::prefetch_rows(keys + std::min(first + key_tile + j, count - 4) * key_row, 4 * key_row);
      add_values(std::integral_constant<int, 4>{}, j, rows + j * value_row);
    }
    for (; j < tile; ++j) add_values(std::integral_constant<int, 1>{}, j, rows + j * value_row);
  }
  for (Index h = 0; h < n.heads; ++h) {
    detail::finish_row(fold, in, h, sums[h], weighted + h * n.value_dim, y + h * n.value_dim);
  }
  if (maximum != nullptr) std::copy_n(maxima, n.heads, maximum);
  if (sum != nullptr) std::copy_n(sums, n.heads, sum);
}

}  // namespace stepscan::inline STEPSCAN_ISA
