#pragma once

#include <algorithm>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/ops/decay_policy.hpp>
#include <utility>

/// A run of tokens of one head on its way past the state: what all columns of the state share. Tokens pass either one
/// after another,
///   S = a_t S + k_t v_t^T,   y_t = q_t^T S                                      3 operations per number of the state,
/// or as groups of four, whose queries and keys carry the decays of their group,
///   y_i = Qd_i^T S + sum_(j<=i) P_ij v_j,   S = a S + sum_j Kd_j v_j^T          2 1/4 operations,
/// with Qd_i = a_1 ... a_i q_i, Kd_j = a_(j+1) ... a_4 k_j, P_ij = q_i . (a_(j+1) ... a_i k_j), and a = a_1 ... a_4:
/// products of decays, never a quotient, so that nothing overflows. No column knows of another
/// (ops/decay_columns.hpp): which of them pass together changes no bit.
namespace stepscan::inline STEPSCAN_ISA {

/// Numbers that whole registers of `size` ones take.
template <Scalar S>
[[nodiscard]] constexpr Index padded_lanes(Index size) noexcept {
  return (size + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
}

/// Columns [begin, end) of a state.
struct ColumnRange {
  Index begin = 0;
  Index end = 0;

  [[nodiscard]] constexpr Index size() const noexcept { return end - begin; }
};

/// Queries, keys and decays of a run, padded to whole registers with zeros, in memory of the caller.
template <Scalar S>
struct DecayRun {
  static constexpr Index group = 4;
  static constexpr Index group_scores = group * (group + 1) / 2;
  /// Numbers between two kinds of rows, so that those of one token do not lie a multiple of a page apart, where caches
  /// take a load for one of what was just stored.
  static constexpr Index stagger = 80;

  DecayWeights<S> weights;  ///< of a group, the decay of all four in the place of the first one's
  MatrixView<S> queries;    ///< [tokens, key_dim], of a group Qd
  MatrixView<S> keys;       ///< [tokens, key_dim], of a group Kd
  S* scores = nullptr;      ///< P of every group [tokens / 4, 10], row after row

  static constexpr Index size(Index tokens, Index key_dim, bool per_channel) noexcept {
    return tokens * (per_channel ? 3 : 2) * padded_lanes<S>(key_dim) + 5 * padded_lanes<S>(tokens) +
           padded_lanes<S>(tokens / group * group_scores) + 2 * stagger;
  }

  DecayRun(S* memory, Index tokens, Index key_dim, bool per_channel) noexcept {
    const auto take = [&](Index count) { return std::exchange(memory, memory + padded_lanes<S>(count)); };
    const Index row = padded_lanes<S>(key_dim);
    queries = {take(tokens * row + stagger), tokens, key_dim, row};
    keys = {take(tokens * row + stagger), tokens, key_dim, row};
    weights.stride = per_channel ? row : 1;
    weights.decay = take(tokens * weights.stride);
    weights.input = take(tokens);
    weights.log_input = take(tokens);
    weights.maximum = take(tokens);
    weights.log_decay = take(tokens);
    scores = take(tokens / group * group_scores);
  }

  [[nodiscard]] static constexpr Index pair(Index i, Index j) noexcept { return i * (i + 1) / 2 + j; }
  /// How many of n tokens pass in groups.
  [[nodiscard]] static constexpr Index grouped(Index n) noexcept { return n / group * group; }

  /// Qd, Kd, a and P of the groups among n tokens, from decays and rows of queries and keys, which query(x) and
  /// key(x, t) make of what is given; zero behind the last channel.
  template <bool PerChannel, class Query, class Key>
  void gather(Index n, MatrixView<const S> asked, MatrixView<const S> added, const Query& query,
              const Key& key) noexcept {
    for (Index t = 0; t < grouped(n); t += group) {
      gather_group<PerChannel>(t, asked.row(t), asked.stride, added.row(t), added.stride, query, key);
    }
  }

 private:
  static constexpr Index width = simd_width<S>;

  template <bool PerChannel, class Query, class Key>
  void gather_group(Index t, const S* asked, Index asked_stride, const S* added, Index added_stride, const Query& query,
                    const Key& key) noexcept {
    constexpr Index size = group;
    const Index row = keys.stride, along = weights.stride;
    S *const q = queries.row(t), *const k = keys.row(t), *const a = weights.decay + t * along;
    Simd<S> sums[group_scores];
    for (auto& s : sums) s = Simd<S>(S{0});
    for_each_lanes<S>(keys.cols, [&](Index d, auto lanes) __attribute__((always_inline)) {
      Simd<S> w[size], product(S{1});
#pragma GCC unroll 4
      for (Index i = 0; i < size; ++i) {
        const Simd<S> decay = PerChannel ? lanes.load(a + i * along + d) : Simd<S>(a[i]);
        const Simd<S> own = lanes.inside(query(lanes.load(asked + i * asked_stride + d)));
        product = i == 0 ? decay : product * decay;
        store(q + i * row + d, own * product);
        w[i] = lanes.inside(key(lanes.load(added + i * added_stride + d), t + i));
#pragma GCC unroll 4
        for (Index j = 0; j <= i; ++j) {
          if (j < i) w[j] = w[j] * decay;
          sums[pair(i, j)] = fma(own, w[j], sums[pair(i, j)]);
        }
      }
#pragma GCC unroll 4
      for (Index i = 0; i < size; ++i) store(k + i * row + d, w[i]);
      if (PerChannel) store(a + d, product);
    });
    if (!PerChannel) a[0] = a[0] * a[1] * a[2] * a[3];
    S* const to = scores + t / group * group_scores;
    Index p = 0;
    for (; p + width <= group_scores; p += width) store(to + p, sum_each(sums + p));
    for (; p < group_scores; ++p) to[p] = sum(sums[p]);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
