#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/kernels/transpose.hpp>
#include <stepscan/ops/decay_run.hpp>

/// A run of tokens of the delta rule on its way past the state, two at a time: one pass over a column of the state
/// gives what it answers to the pair's keys and queries; the corrections u of the two tokens follow from that, and the
/// next pass writes them as it reads for the next pair:
///   u_1 = beta_1 (v_1 - a_1 S^T k_1),   u_2 = beta_2 (v_2 - a_1 a_2 S^T k_2 - a_2 (k_1 . k_2) u_1)
///   y_1 = a_1 S^T q_1 + (q_1 . k_1) u_1,   y_2 = a_1 a_2 S^T q_2 + a_2 (q_2 . k_1) u_1 + (q_2 . k_2) u_2
///   S = a_1 a_2 S + a_2 k_1 u_1^T + k_2 u_2^T
/// 3 operations per number of the state and token, and the state is loaded and stored once a pair. Keys and queries
/// stay as they are given: what makes them of unit length is a factor of each product. No column knows of another.
namespace stepscan::inline STEPSCAN_ISA {

/// What the columns of a run share, in memory of the caller. The last pair may have one token and another that changes
/// nothing.
template <Scalar S>
struct DeltaRun {
  static constexpr Index pair = 2;
  static constexpr Index pair_rows = 2 * pair;
  static constexpr Index block = 4;         ///< tokens gathered at a time
  static constexpr Index rows = 2 * block;  ///< of a block: keys and queries of its first pair, those of its second

  /// The factors of a pair, one behind the other.
  struct Factors {
    static constexpr Index ask = 0;         ///< of S^T k in u
    static constexpr Index read = 2;        ///< of S^T q in y
    static constexpr Index rate = 4;        ///< beta
    static constexpr Index write = 6;       ///< of k u^T in S
    static constexpr Index correction = 8;  ///< of u_1 in u_2
    static constexpr Index own = 9;         ///< of u in y of the same token
    static constexpr Index earlier = 11;    ///< of u_1 in y_2
    static constexpr Index decay = 12;      ///< of S
    static constexpr Index count = 13;
  };

  Index key_dim;
  S* interleaved;  ///< [blocks, key_dim, rows]
  S* factors;      ///< [pairs, Factors::count]
  S* decays;       ///< [tokens]
  S* room;         ///< [rows, key_dim]

  [[nodiscard]] static constexpr Index blocks(Index tokens) noexcept { return (tokens + block - 1) / block; }
  [[nodiscard]] static constexpr Index pairs(Index tokens) noexcept { return (tokens + pair - 1) / pair; }
  [[nodiscard]] static constexpr Index size(Index tokens, Index key_dim) noexcept {
    return (blocks(tokens) + 1) * rows * key_dim + 2 * blocks(tokens) * Factors::count +
           padded_lanes<S>(blocks(tokens) * block);
  }
  DeltaRun(S* memory, Index tokens, Index keys) noexcept
      : key_dim(keys),
        interleaved(memory),
        factors(interleaved + blocks(tokens) * rows * keys),
        decays(factors + 2 * blocks(tokens) * Factors::count),
        room(decays + padded_lanes<S>(blocks(tokens) * block)) {}

  /// Keys and queries of a pair, `rows` numbers from one channel to the next.
  [[nodiscard]] const S* rows_of(Index p) const noexcept {
    return interleaved + p / 2 * rows * key_dim + p % 2 * pair_rows;
  }
  [[nodiscard]] S* factors_of(Index p) const noexcept { return factors + p * Factors::count; }

  /// Block q, of `count` tokens whose decays stand in `decays`; key(i), query(i) and beta(i) are those of token i. With
  /// unit_length keys and queries are divided by sqrt(|x|^2 + 1e-6).
  template <class Key, class Query, class Beta>
  void gather(Index q, Index count, S scale, bool unit_length, Key&& key, Query&& query, Beta&& beta) const noexcept {
    const auto copy = [&](const S* from, Index row) {
      for_each_lanes<S>(key_dim,
                        [&](Index d, auto lanes) { lanes.store(room + row * key_dim + d, lanes.load(from + d)); });
    };
    if (count < block) std::fill_n(room, rows * key_dim, S{0});
    for (Index i = 0; i < count; ++i) {
      copy(key(i), key_row(i));
      copy(query(i), query_row(i));
    }
    S* const x = interleaved + q * rows * key_dim;
    transpose<S>(MatrixView<const S>(room, rows, key_dim), MatrixView<S>(x, key_dim, rows));
    S dots[block * rows], inverse[rows];
    multiply_rows(x, dots, inverse);
    if (unit_length && drop_endless(x, inverse)) multiply_rows(x, dots, inverse);
    for (S& length : inverse) length = unit_length ? S{1} / std::sqrt(length + S(1e-6)) : S{1};
    for (Index i = 0; i < block; ++i) inverse[query_row(i)] *= scale;

    for (Index i = 0; i < block; i += pair) {
      const auto decay = [&](Index t) { return t < count ? decays[q * block + t] : S{1}; };
      const auto product = [&](Index row, Index t) {
        return dots[t * rows + row] * inverse[row] * inverse[key_row(t)];
      };
      const S first = decay(i), second = decay(i + 1);
      S* const f = factors_of((q * block + i) / pair);
      f[Factors::ask] = -first * inverse[key_row(i)];
      f[Factors::ask + 1] = -first * second * inverse[key_row(i + 1)];
      f[Factors::read] = first * inverse[query_row(i)];
      f[Factors::read + 1] = first * second * inverse[query_row(i + 1)];
      f[Factors::rate] = i < count ? beta(i) : S{0};
      f[Factors::rate + 1] = i + 1 < count ? beta(i + 1) : S{0};
      f[Factors::write] = second * inverse[key_row(i)];
      f[Factors::write + 1] = inverse[key_row(i + 1)];
      f[Factors::correction] = -second * product(key_row(i + 1), i);
      f[Factors::own] = product(query_row(i), i);
      f[Factors::own + 1] = product(query_row(i + 1), i + 1);
      f[Factors::earlier] = second * product(query_row(i + 1), i);
      f[Factors::decay] = first * second;
    }
  }

 private:
  /// Where token i of a block stands among its rows.
  [[nodiscard]] static constexpr Index key_row(Index i) noexcept { return i / pair * pair_rows + i % pair; }
  [[nodiscard]] static constexpr Index query_row(Index i) noexcept { return key_row(i) + pair; }

  /// Divided by a length that is no number any more, a row is zero. Whether there are such rows.
  [[nodiscard]] bool drop_endless(S* x, const S* squares) const noexcept {
    bool dropped = false;
    for (Index r = 0; r < rows; ++r) {
      if (squares[r] <= std::numeric_limits<S>::max() || squares[r] != squares[r]) continue;
      for (Index d = 0; d < key_dim; ++d) x[d * rows + r] = 0;
      dropped = true;
    }
    return dropped;
  }

  /// Products of each key with all rows, and the squared lengths of these.
  void multiply_rows(const S* x, S* dots, S* squares) const noexcept {
    for_each_lanes<S>(rows, [&](Index c, auto lanes) {
      Simd<S> sums[2][block + 1];
      for (auto& chain : sums) {
        for (auto& sum : chain) sum = Simd<S>(S{0});
      }
      const auto add = [&](auto& chain, Index d) {
        const Simd<S> all = lanes.load(x + d * rows + c);
#pragma GCC unroll 4
        for (Index i = 0; i < block; ++i) chain[i] = fma(Simd<S>(x[d * rows + key_row(i)]), all, chain[i]);
        chain[block] = fma(all, all, chain[block]);
      };
      Index d = 0;
      for (; d + 2 <= key_dim; d += 2) {
        add(sums[0], d);
        add(sums[1], d + 1);
      }
      if (d < key_dim) add(sums[0], d);
      for (Index i = 0; i < block; ++i) lanes.store(dots + i * rows + c, sums[0][i] + sums[1][i]);
      lanes.store(squares + c, sums[0][block] + sums[1][block]);
    });
  }
};

/// A band of columns as a run passes by; its part of the state stays in the nearest cache.
template <Scalar S, bool Decays>
struct DeltaBand {
  static constexpr int vectors = solve_delta_vectors(target_machine);
  static constexpr Index width = simd_width<S>;
  static constexpr Index columns = vectors * width;
  static constexpr Index pair = DeltaRun<S>::pair;
  using Factors = typename DeltaRun<S>::Factors;

  const DeltaRun<S>& run;
  RowsAhead<S>& ahead;
  Index count;   ///< of columns
  S* local;      ///< [key_dim, columns]
  S* state;      ///< where the band begins
  Index stride;  ///< of the state's rows
  Index v_stride;
  Index y_stride;

  [[nodiscard]] static constexpr Index size(Index key_dim) noexcept { return key_dim * columns; }

  /// n tokens, whose values and outputs begin here.
  void pass(Index n, const S* v, S* y) const noexcept {
    if (count == columns) {
      pass_pairs<true>(n, v, y);
    } else {
      pass_pairs<false>(n, v, y);
    }
  }

 private:
  using Rows = Simd<S>[pair][vectors];

  template <bool Full>
  [[nodiscard, gnu::always_inline]] Simd<S> get(const S* from, int c) const noexcept {
    if constexpr (Full) return load(from + c * width);
    return load_n(from + c * width, std::clamp<Index>(count - c * width, 0, width));
  }
  template <bool Full>
  [[gnu::always_inline]] void put(S* to, int c, Simd<S> x) const noexcept {
    if constexpr (Full) {
      store(to + c * width, x);
    } else {
      store_n(to + c * width, x, std::clamp<Index>(count - c * width, 0, width));
    }
  }

  template <bool Full>
  void pass_pairs(Index n, const S* v, S* y) const noexcept {
    const Index pairs = DeltaRun<S>::pairs(n);
    Rows written, asked, read;
    move<Full, false, true>(0, written, asked, read);
    for (Index p = 0; p < pairs; ++p) {
      ahead.ask();
      const S* const f = run.factors_of(p);
      const S *v1 = v + p * pair * v_stride, *v2 = v1 + v_stride;
      S *y1 = y + p * pair * y_stride, *y2 = y1 + y_stride;
      const bool whole = p * pair + 1 < n;
#pragma GCC unroll 4
      for (int c = 0; c < vectors; ++c) {
        const Simd<S> wanted = whole ? get<Full>(v2, c) : Simd<S>(S{0});
        const Simd<S> u1 = Simd<S>(f[Factors::rate]) * fma(Simd<S>(f[Factors::ask]), asked[0][c], get<Full>(v1, c));
        const Simd<S> error = fma(Simd<S>(f[Factors::ask + 1]), asked[1][c], wanted);
        const Simd<S> u2 = Simd<S>(f[Factors::rate + 1]) * fma(Simd<S>(f[Factors::correction]), u1, error);
        written[0][c] = Simd<S>(f[Factors::write]) * u1;
        written[1][c] = Simd<S>(f[Factors::write + 1]) * u2;
        put<Full>(y1, c, fma(Simd<S>(f[Factors::own]), u1, Simd<S>(f[Factors::read]) * read[0][c]));
        if (whole) {
          const Simd<S> earlier = fma(Simd<S>(f[Factors::earlier]), u1, Simd<S>(f[Factors::read + 1]) * read[1][c]);
          put<Full>(y2, c, fma(Simd<S>(f[Factors::own + 1]), u2, earlier));
        }
      }
      if (p + 1 < pairs) move<Full, true, true>(p + 1, written, asked, read);
    }
    move<Full, true, false>(pairs, written, asked, read);
  }

  /// Writes pair p - 1 to the state and reads for pair p.
  template <bool Full, bool Writes, bool Reads>
  [[gnu::noinline]] void move(Index p, const Rows& written, Rows& asked, Rows& read) const noexcept {
    constexpr Index step = DeltaRun<S>::rows;
    const Index keys = run.key_dim, along = stride;
    S *near = local, *far = state;
    const S *before = Writes ? run.rows_of(p - 1) : nullptr, *x = Reads ? run.rows_of(p) : nullptr;
    const Simd<S> decay(Writes ? run.factors_of(p - 1)[Factors::decay] : S{1});
    Simd<S> w1[vectors], w2[vectors], k1[vectors], k2[vectors], q1[vectors], q2[vectors];
#pragma GCC unroll 4
    for (int c = 0; c < vectors; ++c) {
      if constexpr (Writes) w1[c] = written[0][c], w2[c] = written[1][c];
      k1[c] = k2[c] = q1[c] = q2[c] = Simd<S>(S{0});
    }
    for (Index d = 0; d < keys; ++d) {
      Simd<S> s[vectors];
#pragma GCC unroll 4
      for (int c = 0; c < vectors; ++c) {
        s[c] = Writes ? load(near + c * width) : get<Full>(far, c);
        if constexpr (Writes && Decays) s[c] = s[c] * decay;
      }
      if constexpr (Writes) {
        const Simd<S> first(before[0]), second(before[1]);
#pragma GCC unroll 4
        for (int c = 0; c < vectors; ++c) s[c] = fma(second, w2[c], fma(first, w1[c], s[c]));
        before += step;
      }
#pragma GCC unroll 4
      for (int c = 0; c < vectors; ++c) {
        if constexpr (Reads) {
          store(near + c * width, s[c]);
        } else {
          put<Full>(far, c, s[c]);
        }
      }
      if constexpr (Reads) {
        const auto add = [&](Simd<S> * sums, S number) __attribute__((always_inline)) {
#pragma GCC unroll 4
          for (int c = 0; c < vectors; ++c) sums[c] = fma(Simd<S>(number), s[c], sums[c]);
        };
        add(k1, x[0]);
        add(k2, x[1]);
        add(q1, x[2]);
        add(q2, x[3]);
        x += step;
      }
      near += columns;
      far += along;
    }
    if constexpr (Reads) {
#pragma GCC unroll 4
      for (int c = 0; c < vectors; ++c) {
        asked[0][c] = k1[c], asked[1][c] = k2[c];
        read[0][c] = q1[c], read[1][c] = q2[c];
      }
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
