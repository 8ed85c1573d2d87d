#pragma once

#include <algorithm>
#include <array>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/ops/decay_policy.hpp>
#include <utility>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// S = a S + k v^T and y = skip v + q^T S in one pass over the state, a block of value columns at a time.
template <bool PerChannel, int Vectors, bool Full, Scalar S>
[[gnu::always_inline]] inline void advance_columns(const S* decay, const S* q, const S* k, const S* v, Index keys,
                                                   Index stride, S* state, S* y, S skip, Index columns) noexcept {
  constexpr Index width = simd_width<S>;
  const auto get = [&](const S* from, int c) { return Full ? load(from + c * width) : load_n(from, columns); };
  const auto put = [&](S* to, int c, Simd<S> x) {
    if (Full) {
      store(to + c * width, x);
    } else {
      store_n(to, x, columns);
    }
  };
  Simd<S> value[Vectors], sum[Vectors];
  for (int c = 0; c < Vectors; ++c) {
    value[c] = get(v, c);
    sum[c] = skip == S{0} ? Simd<S>(S{0}) : Simd<S>(skip) * value[c];
  }
  for (Index d = 0; d < keys; ++d) {
    const Simd<S> a(decay[PerChannel ? d : 0]), key(k[d]), query(q[d]);
    S* const row = state + d * stride;
#pragma GCC unroll 4
    for (int c = 0; c < Vectors; ++c) {
      const Simd<S> next = fma(key, value[c], a * get(row, c));
      put(row, c, next);
      sum[c] = fma(query, next, sum[c]);
    }
  }
  for (int c = 0; c < Vectors; ++c) put(y, c, sum[c]);
}

template <bool PerChannel, Scalar S>
void advance_state(const S* decay, const S* q, const S* k, const S* v, Index keys, Index values, S* state, S* y,
                   S skip = 0) noexcept {
  constexpr Index width = simd_width<S>;
  Index j = 0;
  for (; j + 4 * width <= values; j += 4 * width) {
    advance_columns<PerChannel, 4, true>(decay, q, k, v + j, keys, values, state + j, y + j, skip, values - j);
  }
  for (; j + width <= values; j += width) {
    advance_columns<PerChannel, 1, true>(decay, q, k, v + j, keys, values, state + j, y + j, skip, values - j);
  }
  if (j < values)
    advance_columns<PerChannel, 1, false>(decay, q, k, v + j, keys, values, state + j, y + j, skip, values - j);
}

}  // namespace detail

/// The tiles of one chunk of one head, in memory of the caller.
template <Scalar S>
struct DecayTiles {
  DecayWeights<S> weights;
  MatrixView<S> queries;          ///< [chunk, key_dim], scaled and mapped
  MatrixView<S> keys;             ///< [chunk, key_dim], mapped
  MatrixView<S> transposed_keys;  ///< [key_dim, chunk]
  MatrixView<S> decayed_queries;  ///< Qd: query i times the decays up to token i
  /// Kd^T [key_dim, chunk]: key j times the decays behind token j; per channel in the place of transposed_keys.
  MatrixView<S> decayed_keys;
  MatrixView<S> pairs;         ///< what a scalar decay leaves of token j at token i, [chunk, chunk]
  MatrixView<S> scores;        ///< P [chunk, chunk], zero above the diagonal
  S* query_weights = nullptr;  ///< product of scalar decays up to each token
  S* state_decay = nullptr;    ///< of the whole chunk, one number or one per channel
  S* denominators = nullptr;
  S* divisors = nullptr;

  /// Rows of tiles over tokens are padded to whole registers.
  static constexpr Index padded(Index chunk) noexcept {
    return (chunk + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
  }
  static constexpr Index size(Index chunk, Index key_dim, bool per_channel) noexcept {
    const Index c = padded(chunk);
    return c * (per_channel ? key_dim : 1) + 7 * c + (per_channel ? 4 : 5) * c * key_dim + 2 * c * c +
           (per_channel ? key_dim : 1);
  }

  DecayTiles(S* memory, Index chunk, Index key_dim, bool per_channel) noexcept {
    const Index c = padded(chunk);
    const auto take = [&](Index count) { return std::exchange(memory, memory + count); };
    weights.stride = per_channel ? key_dim : 1;
    weights.decay = take(c * weights.stride);
    weights.input = take(c);
    weights.log_input = take(c);
    weights.maximum = take(c);
    weights.log_decay = take(c);
    query_weights = take(c);
    denominators = take(c);
    divisors = take(c);
    queries = {take(c * key_dim), c, key_dim};
    keys = {take(c * key_dim), c, key_dim};
    transposed_keys = {take(c * key_dim), key_dim, c};
    decayed_queries = {take(c * key_dim), c, key_dim};
    decayed_keys = per_channel ? transposed_keys : MatrixView<S>(take(c * key_dim), key_dim, c);
    pairs = {take(c * c), c, c};
    scores = {take(c * c), c, c};
    state_decay = take(per_channel ? key_dim : 1);
  }

  [[nodiscard]] MatrixView<const S> scores_of(Index n) const noexcept { return {scores.data, n, n, scores.stride}; }

  /// Scores, decayed queries and keys, and the state's decay, from n queries, keys and weights; where nothing is read
  /// without the queries and what depends on them.
  template <class Policy, bool Reads = true>
  void score(Index n) noexcept {
    std::fill(keys.row(n), keys.row(keys.rows), S{0});
    transpose<S>(MatrixView<const S>(keys), transposed_keys);
    if constexpr (Policy::per_channel) {
      score_channels<Reads>(n);
      decay_queries<Policy, Reads>(n);
    } else {
      score_tokens<Policy, Reads>(n);
    }
  }

  /// The state's decay and, where they are read, Qd, from n queries and weights alone.
  template <class Policy, bool Reads = true>
  void decay_queries(Index n) noexcept {
    if constexpr (Policy::per_channel) {
      for_each_lanes<S>(keys.cols, [&](Index d, auto lanes) {
        Simd<S> product(S{1});
        for (Index i = 0; i < n; ++i) {
          product = product * lanes.load(weights.decay + i * weights.stride + d);
          if constexpr (Reads) lanes.store(decayed_queries.row(i) + d, product * lanes.load(queries.row(i) + d));
        }
        lanes.store(state_decay + d, product);
      });
    } else {
      S product{1};
      for (Index i = 0; i < n; ++i) {
        query_weights[i] = product *= weights.decay[i];
        if constexpr (Reads) {
          transform(decayed_queries.row(i), queries.row(i), keys.cols, [&](Simd<S> q) { return q * Simd<S>(product); });
        }
      }
      *state_decay = product;
    }
  }

  /// to = tril(rows . keys) times what is left of each pair; above the diagonal zero up to the end of its register and
  /// undefined behind that.
  void multiply_pairs(const MatrixView<S>& rows, const MatrixView<S>& to, Index n) noexcept {
    const MatrixView<S> product(to.data, n, padded(n), to.stride);
    small_multiply<S>(factor<S>(rows.middle_rows(0, n)), transposed_keys.middle_cols(0, padded(n)), product, {},
                      Part::all, Part::lower);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j <= i; j += width) {
        const Simd<S> weighted = load(to.row(i) + j) * load(pairs.row(i) + j);
        store(to.row(i) + j, j + width <= i ? weighted : PartialLanes<S>{i + 1 - j}.inside(weighted));
      }
    }
  }

 private:
  static constexpr Index width = simd_width<S>;

  /// pairs_ii = b_i, pairs_ij = a_i pairs_(i-1)j: products of numbers up to 1, never a quotient.
  template <class Policy>
  void pair(Index n) noexcept {
    static constexpr auto one_lane = [] {
      std::array<S, static_cast<std::size_t>(2 * width)> lanes{};
      lanes[static_cast<std::size_t>(width)] = 1;
      return lanes;
    }();
    for (Index j = 0; j < pairs.cols; j += width) {
      Simd<S> row(S{0});
      for (Index i = 0; i < std::min(j, n); ++i) store(pairs.row(i) + j, row);
      for (Index i = j; i < n; ++i) {
        row = row * Simd<S>(weights.decay[i]);
        if (i < j + width) {
          const Simd<S> own(Policy::weighted ? weights.input[i] : S{1});
          row = fma(own, load(one_lane.data() + width - (i - j)), row);
        }
        store(pairs.row(i) + j, row);
      }
    }
  }

  /// Where nothing is read, neither decayed queries nor scores.
  template <class Policy, bool Reads>
  void score_tokens(Index n) noexcept {
    const Index c = scores.cols;
    pair<Policy>(n);
    decay_queries<Policy, Reads>(n);
    if constexpr (Reads) {
      multiply_pairs(queries, scores, n);
      for (Index i = 0; i < n; ++i) {
        for (Index j = (i / width + 1) * width; j < c; j += width) store(scores.row(i) + j, Simd<S>(S{0}));
      }
    }
    const S* const left = pairs.row(n - 1);
    for (Index d = 0; d < keys.cols; ++d) {
      for (Index j = 0; j < c; j += width) {
        store(decayed_keys.row(d) + j, load(transposed_keys.row(d) + j) * load(left + j));
      }
    }
  }

  /// Running multiplication with a token per lane: when token i comes, the lanes j < i of w = k_j are multiplied by
  /// a_i, and P_i accumulates q_i w over the channels without a sum across lanes. In the end w is Kd^T.
  template <bool Reads>
  void score_channels(Index n) noexcept {
    STEPSCAN_ASSERT(n <= width);
    const Index key_dim = keys.cols;
    for (Index i = n; i < width; ++i) {
      if constexpr (Reads) std::fill_n(queries.row(i), key_dim, S{0});
      std::fill_n(weights.decay + i * key_dim, key_dim, S{1});
    }
    [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
      Simd<S> sums[] = {((void)I, Simd<S>(S{0}))...};
      for (Index d = 0; d < key_dim; ++d) {
        const S *decay = weights.decay + d, *query = queries.data + d;
        Simd<S> w = load(transposed_keys.row(d));
        const auto pass = [&](auto i) __attribute__((always_inline)) {
          w = first_lanes<i>(w * Simd<S>(decay[i * key_dim]), w);
          if constexpr (Reads) sums[i] = fma(Simd<S>(query[i * key_dim]), w, sums[i]);
        };
        (pass(std::integral_constant<int, I>{}), ...);
        store(decayed_keys.row(d), w);
      }
      if constexpr (Reads) (store(scores.row(I), first_lanes<I + 1>(sums[I], Simd<S>(S{0}))), ...);
    }
    (std::make_integer_sequence<int, static_cast<int>(width)>{});
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
