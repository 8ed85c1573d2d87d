#pragma once

#include <algorithm>
#include <numeric>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/ops/decay_policy.hpp>
#include <utility>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <Scalar S>
inline constexpr S unit_value = 1;

/// S = a S + k v^T and y = q^T S in one pass over the state, a block of value columns at a time.
template <bool PerChannel, int Vectors, bool Full, Scalar S>
[[gnu::always_inline]] inline void advance_columns(const S* decay, const S* q, const S* k, const S* v, Index keys,
                                                   Index stride, S* state, S* y, Index columns) noexcept {
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
    sum[c] = Simd<S>(S{0});
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
void advance_state(const S* decay, const S* q, const S* k, const S* v, Index keys, Index values, S* state,
                   S* y) noexcept {
  constexpr Index width = simd_width<S>;
  Index j = 0;
  for (; j + 4 * width <= values; j += 4 * width) {
    advance_columns<PerChannel, 4, true>(decay, q, k, v + j, keys, values, state + j, y + j, values - j);
  }
  for (; j + width <= values; j += width) {
    advance_columns<PerChannel, 1, true>(decay, q, k, v + j, keys, values, state + j, y + j, values - j);
  }
  if (j < values) advance_columns<PerChannel, 1, false>(decay, q, k, v + j, keys, values, state + j, y + j, values - j);
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
  MatrixView<S> decayed_keys;     ///< Kd^T [key_dim, chunk]: key j times the decays behind token j
  MatrixView<S> pairs;            ///< what a scalar decay leaves of token j at token i, [chunk, chunk]
  MatrixView<S> scores;           ///< P [chunk, chunk], zero above the diagonal
  S* query_weights = nullptr;     ///< product of scalar decays up to each token
  S* state_decay = nullptr;       ///< of the whole chunk, one number or one per channel
  S* denominators = nullptr;
  S* divisors = nullptr;

  /// Rows of tiles over tokens are padded to whole registers.
  static constexpr Index padded(Index chunk) noexcept {
    return (chunk + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
  }
  static constexpr Index size(Index chunk, Index key_dim, bool per_channel) noexcept {
    const Index c = padded(chunk);
    return c * (per_channel ? key_dim : 1) + 7 * c + 5 * c * key_dim + 2 * c * c + (per_channel ? key_dim : 1);
  }

  DecayTiles(S* memory, Index chunk, Index key_dim, bool per_channel) noexcept {
    const Index c = padded(chunk);
    const auto take = [&](Index count) { return std::exchange(memory, memory + count); };
    weights.decay = take(c * (per_channel ? key_dim : 1));
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
    decayed_keys = {take(c * key_dim), key_dim, c};
    pairs = {take(c * c), c, c};
    scores = {take(c * c), c, c};
    state_decay = take(per_channel ? key_dim : 1);
  }

  [[nodiscard]] MatrixView<const S> scores_of(Index n) const noexcept { return {scores.data, n, n, scores.stride}; }

  /// Scores, decayed queries and keys, and the state's decay, from n queries, keys and weights.
  template <class Policy>
  void score(Index n) noexcept {
    for (Index d = 0; d < keys.cols; ++d) {
      S* const row = transposed_keys.row(d);
      for (Index j = 0; j < n; ++j) row[j] = keys(j, d);
      std::fill(row + n, row + transposed_keys.cols, S{0});
    }
    if constexpr (Policy::per_channel) {
      score_channels(n);
    } else {
      score_tokens<Policy>(n);
    }
  }

 private:
  /// pairs_ii = b_i, pairs_ij = a_i pairs_(i-1)j: products of numbers up to 1, never a quotient.
  template <class Policy>
  void score_tokens(Index n) noexcept {
    const Index c = scores.cols;
    S product{1};
    for (Index i = 0; i < n; ++i) {
      const S a = weights.decay[i];
      S* const row = pairs.row(i);
      for (Index j = 0; j < i; ++j) row[j] = a * pairs(i - 1, j);
      row[i] = Policy::weighted ? weights.input[i] : S{1};
      std::fill(row + i + 1, row + c, S{0});
      product *= a;
      query_weights[i] = product;
      transform(decayed_queries.row(i), queries.row(i), keys.cols, [&](Simd<S> q) { return q * Simd<S>(product); });
    }
    *state_decay = product;
    const MatrixView<S> p(scores.data, n, c, scores.stride);
    small_multiply<S>(factor<S>(queries.middle_rows(0, n)), transposed_keys, p);
    for (Index i = 0; i < n; ++i) {
      for_each_lanes<S>(c, [&](Index j, auto lanes) {
        lanes.store(p.row(i) + j, lanes.load(p.row(i) + j) * lanes.load(pairs.row(i) + j));
      });
      for (Index j = i + 1; j < c; ++j) p(i, j) = 0;
    }
    for (Index d = 0; d < keys.cols; ++d) {
      for_each_lanes<S>(c, [&](Index j, auto lanes) {
        lanes.store(decayed_keys.row(d) + j, lanes.load(transposed_keys.row(d) + j) * lanes.load(pairs.row(n - 1) + j));
      });
    }
  }

  /// Running multiplication with a token per lane: when token i comes, the lanes j < i of w = k_j are multiplied by
  /// a_i, and P_i accumulates q_i w over the channels without a sum across lanes. In the end w is Kd^T.
  void score_channels(Index n) noexcept {
    constexpr Index width = simd_width<S>;
    STEPSCAN_ASSERT(n <= width);
    const Index key_dim = keys.cols;
    for (Index i = n; i < width; ++i) {
      std::fill_n(queries.row(i), key_dim, S{0});
      std::fill_n(weights.decay + i * key_dim, key_dim, S{1});
    }
    S numbers[static_cast<std::size_t>(width)];
    std::iota(numbers, numbers + width, S{0});
    const Simd<S> lane = load(numbers);
    Simd<S> sum[static_cast<std::size_t>(width)];
    for (auto& s : sum) s = Simd<S>(S{0});
    for (Index d = 0; d < key_dim; ++d) {
      Simd<S> w = load(transposed_keys.row(d));
#pragma GCC unroll 16
      for (Index i = 0; i < width; ++i) {
        w = select(lane < Simd<S>(static_cast<S>(i)), w * Simd<S>(weights.decay[i * key_dim + d]), w);
        sum[i] = fma(Simd<S>(queries(i, d)), w, sum[i]);
      }
      store(decayed_keys.row(d), w);
    }
    for (Index i = 0; i < n; ++i) {
      store(scores.row(i), select(lane <= Simd<S>(static_cast<S>(i)), sum[i], Simd<S>(S{0})));
    }
    for_each_lanes<S>(key_dim, [&](Index d, auto lanes) {
      Simd<S> product(S{1});
      for (Index i = 0; i < n; ++i) {
        product = product * lanes.load(weights.decay + i * key_dim + d);
        lanes.store(decayed_queries.row(i) + d, product * lanes.load(queries.row(i) + d));
      }
      lanes.store(state_decay + d, product);
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
