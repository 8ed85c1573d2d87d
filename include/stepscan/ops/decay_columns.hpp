#pragma once

#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/ops/decay_run.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA {

/// A band of a state's columns, narrow enough that its values and outputs of a run stay in the nearest cache, as the
/// run passes by: a tile of it at a time stays in registers while all tokens pass, so that the state is loaded and
/// stored once a run.
template <Scalar S>
struct DecayBand {
  static constexpr Index width = simd_width<S>;
  static constexpr Index narrowest = state_tile.vectors * width;
  static constexpr Index widest = 4 * narrowest;

  const DecayRun<S>& run;
  RowsAhead<S>& ahead;
  MatrixView<S> values;   ///< [tokens, columns], padded to whole registers with zeros
  MatrixView<S> outputs;  ///< [tokens, columns]

  static constexpr Index size(Index tokens) noexcept { return 2 * tokens * widest + DecayRun<S>::stagger; }
  /// Tiles that a state's rows and columns are passed in, about.
  [[nodiscard]] static constexpr Index tiles(Index keys, Index columns) noexcept {
    return (keys + state_tile.rows - 1) / state_tile.rows * ((columns + narrowest - 1) / narrowest);
  }
  DecayBand(const DecayRun<S>& of, RowsAhead<S>& then, S* memory, Index tokens, Index columns) noexcept
      : run(of), ahead(then) {
    const Index row = padded_lanes<S>(columns);
    values = {memory, tokens, columns, row};
    outputs = {memory + tokens * row + DecayRun<S>::stagger, tokens, columns, row};
  }

  /// The state's columns from before to behind the first n tokens, whose values are rows of v, and their outputs:
  /// skip v + q^T S.
  template <bool PerChannel, bool Grouped>
  void pass(Index n, const S* v, Index v_stride, S skip, S* state, Index state_stride) noexcept {
    const Index whole = Grouped ? DecayRun<S>::grouped(n) : 0;
    for (Index t = 0; t < whole; t += group) begin_group(t, v + t * v_stride, v_stride, skip);
    for (Index t = whole; t < n; ++t) begin_token(t, v + t * v_stride, skip);
    if (whole > 0) pass_tiles<PerChannel, true>(0, whole, state, state_stride);
    if (whole < n) pass_tiles<PerChannel, false>(whole, n, state, state_stride);
  }

 private:
  static constexpr Index group = DecayRun<S>::group;

  /// P times the values, the beginning of the outputs.
  void begin_group(Index t, const S* v, Index v_stride, S skip) noexcept {
    constexpr auto pair = DecayRun<S>::pair;
    const S* const scores = run.scores + t / group * DecayRun<S>::group_scores;
    for_each_lanes<S>(values.cols, [&](Index c, auto lanes) {
      Simd<S> value[group];
#pragma GCC unroll 4
      for (Index i = 0; i < group; ++i) {
        value[i] = lanes.load(v + i * v_stride + c);
        store(values.row(t + i) + c, value[i]);
        Simd<S> y = Simd<S>(scores[pair(i, i)] + skip) * value[i];
#pragma GCC unroll 4
        for (Index j = 0; j < i; ++j) y = fma(Simd<S>(scores[pair(i, j)]), value[j], y);
        store(outputs.row(t + i) + c, y);
      }
    });
  }
  void begin_token(Index t, const S* v, S skip) noexcept {
    for_each_lanes<S>(values.cols, [&](Index c, auto lanes) {
      const Simd<S> value = lanes.load(v + c);
      store(values.row(t) + c, value);
      store(outputs.row(t) + c, skip == S{0} ? Simd<S>(S{0}) : Simd<S>(skip) * value);
    });
  }

  template <bool PerChannel, bool Grouped>
  void pass_tiles(Index begin, Index end, S* state, Index stride) noexcept {
    const Index columns = values.cols, keys = run.keys.cols;
    const auto pass_rows = [&](auto rows, Index d) {
      constexpr int wide = state_tile.vectors;
      S* const at = state + d * stride;
      Index j = 0;
      for (; j + wide * width <= columns; j += wide * width) {
        ahead.ask();
        pass_tile<PerChannel, Grouped, rows, wide, true>(begin, end, d, j, at + j, stride);
      }
      for (; j + width <= columns; j += width) {
        pass_tile<PerChannel, Grouped, rows, 1, true>(begin, end, d, j, at + j, stride);
      }
      if (j < columns) pass_tile<PerChannel, Grouped, rows, 1, false>(begin, end, d, j, at + j, stride);
      return d + rows;
    };
    for (Index d = 0; d < keys;) {
      if (d + state_tile.rows <= keys) {
        d = pass_rows(std::integral_constant<int, state_tile.rows>{}, d);
      } else {
        d = pass_rows(std::integral_constant<int, 1>{}, d);
      }
    }
  }

  /// Tokens [begin, end) past the numbers of the state in rows d, ... and columns j, ... Outputs add up over tiles in
  /// the order of rows.
  template <bool PerChannel, bool Grouped, int Rows, int Vectors, bool Full>
  [[gnu::noinline]] void pass_tile(Index begin, Index end, Index d, Index j, S* corner, Index stride) noexcept {
    const Index columns = values.cols - j;
    const Index in = run.queries.stride, out = outputs.stride, along = run.weights.stride;
    const S *q = run.queries.row(begin) + d, *k = run.keys.row(begin) + d, *v = values.row(begin) + j;
    const S* a = run.weights.decay + begin * along + (PerChannel ? d : 0);
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
          for (int c = 0; c < Vectors; ++c) sum[c] = load(y + c * width);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r) {
            const Simd<S> query(q[r]);
#pragma GCC unroll 16
            for (int c = 0; c < Vectors; ++c) sum[c] = fma(query, tile[r][c], sum[c]);
          }
#pragma GCC unroll 16
          for (int c = 0; c < Vectors; ++c) store(y + c * width, sum[c]);
          q += in;
          y += out;
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
          for (int c = 0; c < Vectors; ++c) value[c] = load(v + c * width);
#pragma GCC unroll 16
          for (int r = 0; r < Rows; ++r) {
            const Simd<S> key(k[r]);
#pragma GCC unroll 16
            for (int c = 0; c < Vectors; ++c) tile[r][c] = fma(key, value[c], tile[r][c]);
          }
          k += in;
          v += out;
        }
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
