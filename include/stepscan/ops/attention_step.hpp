#pragma once

#include <stepscan/kernels/half.hpp>
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
template <Scalar S, StoredFor<S> Stored>
[[nodiscard, gnu::always_inline]] inline S strip_dot(const S* a, const Stored* b, Index n) noexcept {
  constexpr Index width = simd_width<S>;
  Simd<S> total(S{0});
  const Index rest = for_each_strip<S>(n, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) total = fma(load(a + i + v * width), load_stored<S>(b + i + v * width), total);
  });
  if (rest < n) total = fma(load_n(a + rest, n - rest), load_stored_n<S>(b + rest, n - rest), total);
  return sum(total);
}

/// to[r] = a.b for as many rows b as a register has lanes.
template <Scalar S, StoredFor<S> Stored>
[[gnu::always_inline]] inline void strip_dots(const S* a, const Stored* rows, Index stride, Index n, S* to) noexcept {
  constexpr int width = static_cast<int>(simd_width<S>);
  Simd<S> totals[width];
#pragma GCC unroll 16
  for (int r = 0; r < width; ++r) totals[r] = Simd<S>(S{0});
  Index i = 0;
  for (; i + width <= n; i += width) {
    const Simd<S> left = load(a + i);
#pragma GCC unroll 16
    for (int r = 0; r < width; ++r) totals[r] = fma(left, load_stored<S>(rows + r * stride + i), totals[r]);
  }
  if (i < n) {
    const Simd<S> left = load_n(a + i, n - i);
    for (int r = 0; r < width; ++r) totals[r] = fma(left, load_stored_n<S>(rows + r * stride + i, n - i), totals[r]);
  }
  store(to, sum_each(totals));
}

/// w += weights[r] times row r, of `Rows` rows.
template <int Rows, Scalar S, StoredFor<S> Stored>
[[gnu::always_inline]] inline void add_rows_weighted(const S* weights, const Stored* rows, Index stride, Index n,
                                                     S* w) noexcept {
  constexpr Index width = simd_width<S>;
  Simd<S> weight[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) weight[r] = Simd<S>(weights[r]);
  const Index rest = for_each_strip<S>(n, [&]<int Vectors>(Index i, std::integral_constant<int, Vectors>) {
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Simd<S> total = load(w + i + v * width);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        total = fma(weight[r], load_stored<S>(rows + r * stride + i + v * width), total);
      }
      store(w + i + v * width, total);
    }
  });
  if (rest == n) return;
  Simd<S> total = load_n(w + rest, n - rest);
  for (int r = 0; r < Rows; ++r) total = fma(weight[r], load_stored_n<S>(rows + r * stride + rest, n - rest), total);
  store_n(w + rest, total, n - rest);
}

/// Whether so many keys and values are taken to come from memory and not from a cache.
template <class Stored>
[[nodiscard]] constexpr bool is_far(const AttentionSizes& n, Index count) noexcept {
  return count * n.kv_heads * (n.key_dim + n.value_dim) * static_cast<Index>(sizeof(Stored)) >
         16 * target_machine.l2_bytes;
}

/// What attention_step needs beside its inputs: the queries in the logits' unit, the logits of a tile of keys, m, u and
/// w.
[[nodiscard]] constexpr Index attention_step_size(const AttentionSizes& n) noexcept {
  return n.heads * (n.key_dim + key_tile + 2 + n.value_dim);
}

/// One query of all heads that folds rows of keys and values as they come; `scratch` holds attention_step_size numbers.
template <class Fold, Scalar S, StoredFor<S> Stored>
class StepFold {
 public:
  StepFold(const Fold& fold, const AttentionInputs<S>& in, const S* query, const Stored* keys, const Stored* values,
           S* scratch) noexcept
      : fold_(fold),
        in_(in),
        n_(in.sizes),
        keys_(keys),
        values_(values),
        group_(n_.group()),
        key_row_(n_.kv_heads * n_.key_dim),
        value_row_(n_.kv_heads * n_.value_dim),
        scaled_(scratch),
        logits_(scaled_ + n_.heads * n_.key_dim),
        maxima_(logits_ + n_.heads * key_tile),
        sums_(maxima_ + n_.heads),
        weighted_(sums_ + n_.heads) {
    const Simd<S> unit(fold.unit(in.scale));
    transform(scaled_, query, n_.heads * n_.key_dim, [&](Simd<S> q) { return q * unit; });
    for (Index h = 0; h < n_.heads; ++h) {
      start_row(fold, in, h, query + h * n_.key_dim, maxima_[h], sums_[h], weighted_ + h * n_.value_dim);
    }
  }

  /// Rows [first, first + count), count <= key_tile, seen by all heads: in the order of memory, all heads of a token
  /// together. Where its speed is the limit (`far`), the values are asked for while keys are worked on, and the keys
  /// behind, of `all` rows, while values are: by every head its share, for only so many requests wait at once.
  void rows(Index first, Index count, bool far, Index all) noexcept {
    const auto ask = [&](const Stored* rows_ahead, Index numbers, Index h) {
      const Index part = numbers / n_.heads;
      prefetch_row(rows_ahead + h * part, part);
    };
    for (Index j = 0; j < count; j += block) {
      const Index size = std::min(block, count - j);
      for_each_head([&](Index h, Index g) {
        if (far) ask(values_ + (first + j) * value_row_, size * value_row_, h);
        take_keys(h, g, j, first + j, size);
      });
    }
    for_each_head([&](Index h, Index) { weigh(h, count); });
    for (Index j = 0; j < count; j += block) {
      const Index size = std::min(block, count - j), ahead = std::min(first + key_tile + j, all - size);
      for_each_head([&](Index h, Index g) {
        if (far) ask(keys_ + ahead * key_row_, size * key_row_, h);
        take_values(h, g, j, first + j, size);
      });
    }
  }

  /// Those of the rows from `first` on whose bits are set, seen by head h alone, which reads key/value head g.
  void some_rows(Index h, Index g, Index first, std::uint64_t seen) noexcept {
    Index count = 0;
    patterns::for_each_run(seen, [&](Index begin, Index length) {
      take_keys(h, g, count, first + begin, length);
      count += length;
    });
    weigh(h, count);
    count = 0;
    patterns::for_each_run(seen, [&](Index begin, Index length) {
      take_values(h, g, count, first + begin, length);
      count += length;
    });
  }

  void finish(S* y, S* maximum, S* sum) const noexcept {
    for (Index h = 0; h < n_.heads; ++h) {
      finish_row(fold_, in_, h, sums_[h], weighted_ + h * n_.value_dim, y + h * n_.value_dim);
    }
    if (maximum != nullptr) std::copy_n(maxima_, n_.heads, maximum);
    if (sum != nullptr) std::copy_n(sums_, n_.heads, sum);
  }

 private:
  /// Rows that are worked on together.
  static constexpr Index block = std::max<Index>(8, simd_width<S>);

  template <class F>
  [[gnu::always_inline]] void for_each_head(F&& f) const {
    for (Index g = 0, h = 0; g < n_.kv_heads; ++g) {
      for (Index i = 0; i < group_; ++i, ++h) f(h, g);
    }
  }

  /// The logits from j on, of `count` rows.
  [[gnu::always_inline]] void take_keys(Index h, Index g, Index j, Index row, Index count) noexcept {
    constexpr Index width = simd_width<S>;
    const S* const query = scaled_ + h * n_.key_dim;
    const Stored* key = keys_ + row * key_row_ + g * n_.key_dim;
    S* const first = logits_ + h * key_tile + j;
    const TokenRange keys{row, row + count};
    S* to = first;
    for (; count >= width; count -= width, to += width, key += width * key_row_) {
      strip_dots(query, key, key_row_, n_.key_dim, to);
    }
    for (; count > 0; --count, ++to, key += key_row_) *to = strip_dot(query, key, n_.key_dim);
    if (in_.distance.slopes != nullptr) {
      add_distance_bias<S>(fold_.unit(in_.distance.slopes[h]), in_.distance.runs, keys, first);
    }
  }

  /// `count` logits of a head become weights, and what it has folded is rescaled.
  void weigh(Index h, Index count) noexcept {
    S *const weights = logits_ + h * key_tile, *const w = weighted_ + h * n_.value_dim;
    const S before = maxima_[h];
    S rescale;
    maxima_[h] = fold_.largest(weights, count, before);
    fold_.rescale(&before, &maxima_[h], 1, &rescale);
    sums_[h] = rescale * sums_[h] + fold_.weigh(weights, count, maxima_[h]);
    transform(w, w, n_.value_dim, [&](Simd<S> x) { return x * Simd<S>(rescale); });
  }

  /// The values of `count` rows, by the weights from j on.
  [[gnu::always_inline]] void take_values(Index h, Index g, Index j, Index row, Index count) noexcept {
    const Stored* value = values_ + row * value_row_ + g * n_.value_dim;
    S *weights = logits_ + h * key_tile + j, *const w = weighted_ + h * n_.value_dim;
    for (; count >= block; count -= block, weights += block, value += block * value_row_) {
      add_rows_weighted<block>(weights, value, value_row_, n_.value_dim, w);
    }
    for (; count > 0; --count, ++weights, value += value_row_) {
      add_rows_weighted<1>(weights, value, value_row_, n_.value_dim, w);
    }
  }

  const Fold& fold_;
  const AttentionInputs<S>& in_;
  const AttentionSizes n_;
  const Stored* keys_;
  const Stored* values_;
  Index group_, key_row_, value_row_;
  S *scaled_, *logits_, *maxima_, *sums_, *weighted_;
};

}  // namespace detail

/// One query of one batch member against `count` keys [kv_heads * key_dim] and values [kv_heads * value_dim], row after
/// row in memory, all of which it sees; they may be kept in 16 bits. `scratch` holds attention_step_size(sizes)
/// numbers; m and u [heads] are kept where there is a place for them.
template <class Fold, Scalar S, StoredFor<S> Stored>
[[gnu::noinline]] void attention_step(const Fold& fold, const AttentionInputs<S>& in, const S* query,
                                      const Stored* keys, const Stored* values, Index count, S* y, S* scratch,
                                      S* maximum = nullptr, S* sum = nullptr) noexcept {
  using detail::key_tile;
  detail::StepFold<Fold, S, Stored> op(fold, in, query, keys, values, scratch);
  const bool far = detail::is_far<Stored>(in.sizes, count);
  for (Index first = 0; first < count; first += key_tile) {
    op.rows(first, std::min(key_tile, count - first), far, count);
  }
  op.finish(y, maximum, sum);
}

}  // namespace stepscan::inline STEPSCAN_ISA
