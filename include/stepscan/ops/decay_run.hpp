#pragma once

#include <algorithm>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/ops/decay_policy.hpp>
#include <type_traits>
#include <utility>

/// A run of tokens of one head past its state, a tile of the state at a time: the tile stays in registers while all
/// tokens of the run pass by, so that the state is loaded and stored once a run. Tokens pass either one after another,
///   S = a_t S + k_t v_t^T,   y_t = q_t^T S                                      3 operations per number of the state,
/// or as groups of four, whose queries and keys carry the decays of their group,
///   y_i = Qd_i^T S + sum_(j<=i) P_ij v_j,   S = a S + sum_j Kd_j v_j^T          2 1/4 operations,
/// with Qd_i = a_1 ... a_i q_i, Kd_j = a_(j+1) ... a_4 k_j, P_ij = q_i . (a_(j+1) ... a_i k_j), and a = a_1 ... a_4:
/// products of decays, never a quotient, so that nothing overflows.
namespace stepscan::inline STEPSCAN_ISA {

/// The rows of a run of tokens, padded to whole registers with zeros, in memory of the caller.
template <Scalar S>
struct DecayRun {
  static constexpr Index group = 4;
  /// Numbers between two kinds of rows, so that those of one token do not lie a multiple of a page apart, where caches
  /// take a load for one of what was just stored.
  static constexpr Index stagger = 80;

  DecayWeights<S> weights;
  MatrixView<S> queries;  ///< [tokens, key_dim]
  MatrixView<S> keys;     ///< [tokens, key_dim]
  MatrixView<S> values;   ///< [tokens, value_dim]
  MatrixView<S> outputs;  ///< [tokens, value_dim]
  S* divisors = nullptr;  ///< of normalised reads [tokens]

  static constexpr Index padded(Index size) noexcept {
    return (size + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
  }
  static constexpr Index size(Index tokens, Index key_dim, Index value_dim, bool per_channel) noexcept {
    return tokens * (2 * padded(key_dim) + 2 * padded(value_dim) + (per_channel ? padded(key_dim) : 0)) +
           6 * padded(tokens) + 4 * stagger;
  }

  DecayRun(S* memory, Index tokens, Index key_dim, Index value_dim, bool per_channel) noexcept {
    const auto take = [&](Index count) { return std::exchange(memory, memory + count); };
    const auto rows = [&](Index cols) {
      return MatrixView<S>(take(tokens * padded(cols) + stagger), tokens, cols, padded(cols));
    };
    queries = rows(key_dim);
    keys = rows(key_dim);
    values = rows(value_dim);
    outputs = rows(value_dim);
    weights.stride = per_channel ? padded(key_dim) : 1;
    weights.decay = take(per_channel ? tokens * padded(key_dim) : padded(tokens));
    weights.input = take(padded(tokens));
    weights.log_input = take(padded(tokens));
    weights.maximum = take(padded(tokens));
    weights.log_decay = take(padded(tokens));
    divisors = take(padded(tokens));
  }

  /// The state [key_dim, value_dim] from before to behind the first n tokens, whose rows of y become `outputs`.
  template <bool PerChannel, bool Grouped>
  void pass(Index n, S* state) noexcept {
    const Index whole = Grouped ? n / group * group : 0;
    for (Index t = 0; t < whole; t += group) gather<PerChannel>(t);
    for (Index t = whole; t < n; ++t) std::fill_n(outputs.row(t), outputs.stride, S{0});
    if (whole > 0) pass_tiles<PerChannel, true>(0, whole, state);
    if (whole < n) pass_tiles<PerChannel, false>(whole, n, state);
  }

 private:
  static constexpr Index width = simd_width<S>;

  /// Qd and Kd of the group from token t on, in the place of queries and keys; the decay of all four in the place of
  /// the first one's; P times the values, the beginning of the outputs.
  template <bool PerChannel>
  void gather(Index t) noexcept {
    constexpr int size = static_cast<int>(group);
    constexpr auto pair = [](int i, int j) { return i * (i + 1) / 2 + j; };
    S *const q = queries.row(t), *const k = keys.row(t), *const a = weights.decay + t * weights.stride;
    Simd<S> sums[pair(size, 0)], product(S{1});
    for (auto& s : sums) s = Simd<S>(S{0});
    for (Index d = 0; d < queries.stride; d += width) {
      Simd<S> w[size];
      product = Simd<S>(S{1});
#pragma GCC unroll 4
      for (int i = 0; i < size; ++i) {
        const Simd<S> decay = PerChannel ? load(a + i * weights.stride + d) : Simd<S>(a[i]);
        const Simd<S> query = load(q + i * queries.stride + d);
        product = i == 0 ? decay : product * decay;
        store(q + i * queries.stride + d, query * product);
        w[i] = load(k + i * keys.stride + d);
#pragma GCC unroll 4
        for (int j = 0; j <= i; ++j) {
          if (j < i) w[j] = w[j] * decay;
          sums[pair(i, j)] = fma(query, w[j], sums[pair(i, j)]);
        }
      }
#pragma GCC unroll 4
      for (int i = 0; i < size; ++i) store(k + i * keys.stride + d, w[i]);
      if (PerChannel) store(a + d, product);
    }
    if (!PerChannel) a[0] = a[0] * a[1] * a[2] * a[3];
    S scores[pair(size, 0)];
    for (int p = 0; p < pair(size, 0); ++p) scores[p] = sum(sums[p]);
    for (Index c = 0; c < values.stride; c += width) {
      Simd<S> value[size];
#pragma GCC unroll 4
      for (int i = 0; i < size; ++i) {
        value[i] = load(values.row(t + i) + c);
        Simd<S> y = Simd<S>(scores[pair(i, 0)]) * value[0];
#pragma GCC unroll 4
        for (int j = 1; j <= i; ++j) y = fma(Simd<S>(scores[pair(i, j)]), value[j], y);
        store(outputs.row(t + i) + c, y);
      }
    }
  }

  template <bool PerChannel, bool Grouped>
  void pass_tiles(Index begin, Index end, S* state) noexcept {
    const Index value_dim = values.cols;
    const auto pass_rows = [&](auto rows, Index d) {
      constexpr int wide = state_tile.vectors;
      Index j = 0;
      for (; j + wide * width <= value_dim; j += wide * width) {
        pass_tile<PerChannel, Grouped, rows, wide, true>(begin, end, d, j, state);
      }
      for (; j + width <= value_dim; j += width) {
        pass_tile<PerChannel, Grouped, rows, 1, true>(begin, end, d, j, state);
      }
      if (j < value_dim) pass_tile<PerChannel, Grouped, rows, 1, false>(begin, end, d, j, state);
      return d + rows;
    };
    for (Index d = 0; d < keys.cols;) {
      if (d + state_tile.rows <= keys.cols) {
        d = pass_rows(std::integral_constant<int, state_tile.rows>{}, d);
      } else {
        d = pass_rows(std::integral_constant<int, 1>{}, d);
      }
    }
  }

  /// Tokens [begin, end) past the numbers of the state in rows d, ... and columns j, ... Outputs add up over tiles in
  /// the order of rows.
  template <bool PerChannel, bool Grouped, int Rows, int Vectors, bool Full>
  [[gnu::noinline]] void pass_tile(Index begin, Index end, Index d, Index j, S* state) noexcept {
    const Index stride = values.cols, columns = values.cols - j;
    const Index in = queries.stride, out = outputs.stride, along = weights.stride;
    S* const corner = state + d * stride + j;
    const S *q = queries.row(begin) + d, *k = keys.row(begin) + d, *v = values.row(begin) + j;
    const S* a = weights.decay + begin * along + (PerChannel ? d : 0);
    S* y = outputs.row(begin) + j;
    Simd<S> tile[Rows][Vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < Vectors; ++c) {
        S* const at = corner + r * stride + c * width;
        tile[r][c] = Full ? load(at) : load_n(at, columns);
      }
    }
    if constexpr (Grouped) {
      for (Index t = begin; t < end; t += group) {
#pragma GCC unroll 4
        for (Index i = 0; i < group; ++i) {
          Simd<S> sum[Vectors];
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) sum[c] = load(y + i * out + c * width);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r) {
            const Simd<S> query(q[i * in + r]);
#pragma GCC unroll 16
            for (int c = 0; c < Vectors; ++c) sum[c] = fma(query, tile[r][c], sum[c]);
          }
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) store(y + i * out + c * width, sum[c]);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Simd<S> decay(a[PerChannel ? r : 0]);
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) tile[r][c] = tile[r][c] * decay;
        }
#pragma GCC unroll 4
        for (Index i = 0; i < group; ++i) {
          Simd<S> value[Vectors];
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) value[c] = load(v + i * out + c * width);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r) {
            const Simd<S> key(k[i * in + r]);
#pragma GCC unroll 16
            for (int c = 0; c < Vectors; ++c) tile[r][c] = fma(key, value[c], tile[r][c]);
          }
        }
        q += group * in;
        k += group * in;
        v += group * out;
        y += group * out;
        a += group * along;
      }
    } else {
      for (Index t = begin; t < end; ++t) {
        Simd<S> value[Vectors], sum[Vectors];
#pragma GCC unroll 16
        for (int c = 0; c < Vectors; ++c) {
          value[c] = load(v + c * width);
          sum[c] = load(y + c * width);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const Simd<S> decay(a[PerChannel ? r : 0]), key(k[r]), query(q[r]);
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) {
            tile[r][c] = fma(key, value[c], decay * tile[r][c]);
            sum[c] = fma(query, tile[r][c], sum[c]);
          }
        }
#pragma GCC unroll 16
        for (int c = 0; c < Vectors; ++c) store(y + c * width, sum[c]);
        q += in;
        k += in;
        v += out;
        y += out;
        a += along;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < Vectors; ++c) {
        S* const at = corner + r * stride + c * width;
        if constexpr (Full) {
          store(at, tile[r][c]);
        } else {
          store_n(at, tile[r][c], columns);
        }
      }
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
