#pragma once

#include <stepscan/ops/decay_chunk_backward.hpp>
#include <stepscan/ops/delta_rule.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The tiles of one chunk's backward pass.
template <Scalar S>
struct DeltaBackwardTiles {
  MatrixView<S> drows;       ///< of u [chunk, value_dim]
  MatrixView<S> derrors;     ///< of e [chunk, value_dim]
  MatrixView<S> transposed;  ///< dy, u or de [value_dim, chunk]
  MatrixView<S> dscores;     ///< of P [chunk, chunk]
  MatrixView<S> dproducts;   ///< of N [chunk, chunk]
  MatrixView<S> into_q;      ///< of Qd [key_dim, chunk]
  MatrixView<S> into_k;      ///< of Kd [key_dim, chunk]
  MatrixView<S> into_read;   ///< of the keys b_i k_i that ask the state [key_dim, chunk]
  MatrixView<S> dq;          ///< [chunk, key_dim]
  MatrixView<S> dk;          ///< [chunk, key_dim]
  S* dlog_decay = nullptr;   ///< [chunk]

  static constexpr Index size(Index chunk, const DecaySizes& sizes, bool) noexcept {
    const Index c = DecayTiles<S>::padded(chunk);
    return 3 * c * sizes.value_dim + 2 * c * c + 5 * c * sizes.key_dim + c;
  }
  DeltaBackwardTiles(S* memory, Index chunk, const DecaySizes& sizes, bool) noexcept {
    const Index c = DecayTiles<S>::padded(chunk), keys = sizes.key_dim, values = sizes.value_dim;
    const auto take = [&](Index rows, Index cols) {
      return MatrixView<S>(std::exchange(memory, memory + rows * cols), rows, cols);
    };
    drows = take(c, values);
    derrors = take(c, values);
    transposed = take(values, c);
    dscores = take(c, c);
    dproducts = take(c, c);
    into_q = take(keys, c);
    into_k = take(keys, c);
    into_read = take(keys, c);
    dq = take(c, keys);
    dk = take(c, keys);
    dlog_decay = memory;
  }
};

/// The chunk's cotangents, from tiles that hold its forward quantities, the state S that entered it and the cotangent
/// of the one that left it. With du = P^T dY + Kd dS_out, back substitution from the last token gives
///   de_i = beta_i du_i,   du_j -= N_ij de_i,   dbeta_i = du_i . e_i,   dN_ij = -de_i . u_j
///   dv = de,   dP = tril(dY U^T),   dQd = dY S^T,   dKd = U dS_out^T
///   dS = decay dS_out + Qd^T dY - sum_i b_i k_i de_i^T
/// and the logarithm of a decay gets what passes through it: through Qd, Kd, the keys that ask, P, N and the state.
template <Scalar S, class Decay>
struct DeltaChunkBackward {
  using Attention = DeltaAttention<S, Decay>;

  const Attention& op;
  const DecayGradients<S>& to;
  DeltaTiles<S>& tiles;
  DeltaBackwardTiles<S>& own;
  Index b, h;
  TokenRange tokens;
  Index n = tokens.size();

  void run(const DecayState<S>& state, SequenceView<const S> dy, const DecayState<S>& dstate) const noexcept {
    const Index keys = op.sizes.key_dim, values = op.sizes.value_dim;
    const MatrixView<const S> u = op.written(b, h, tokens, tiles, state), s(state.matrix, keys, values);
    const MatrixView<const S> dout(dy.token(b, tokens.begin) + h * values, n, values, dy.time_stride);
    const MatrixView<S> ds(dstate.matrix, keys, values), across(own.transposed.data, values, n, own.transposed.stride);
    const MatrixView<S> derrors = own.derrors.middle_rows(0, n);
    const MatrixView<S> dscores = pairs_of(own.dscores), dproducts = pairs_of(own.dproducts);

    correct(dout, ds);
    for (Index i = 0; i < n; ++i) {
      op.dbeta.token(b, tokens.begin + i)[h] = dot(own.drows.row(i), tiles.errors.row(i), values);
    }

    transpose<S>(dout, across);
    small_multiply<S>(factor<S>(s), across, own.into_q.middle_cols(0, n));
    transpose<S>(u, across);
    small_multiply<S>(factor<S>(dout), across, dscores);
    small_multiply<S>(factor<S>(MatrixView<const S>(derrors)), across, dproducts);
    small_multiply<S>(factor<S>(MatrixView<const S>(ds)), across, own.into_k.middle_cols(0, n));
    transpose<S>(derrors, across);
    small_multiply<S>(factor<S>(s), across, own.into_read.middle_cols(0, n));

    const S decay = *tiles.state_decay;
    S through_state{0};
    for (Index d = 0; d < keys; ++d) through_state += dot(s.row(d), ds.row(d), values);
    pull_back_decays(decay * through_state);
    move_state(ds, dout, derrors);
    pull_back_keys(dscores, dproducts);

    for (Index t = 0; t < n; ++t) {
      const Index at = tokens.begin + t;
      std::copy_n(derrors.row(t), values, to.dv.token(b, at) + h * values);
      unscale(op.query(b, h, at), op.scale, own.dq.row(t), to.dq.token(b, at) + h * keys);
      unscale(op.key(b, h, at), S{1}, own.dk.row(t), to.dk.token(b, at) + h * keys);
    }
    op.policy.pull_back(b, h, tokens, {own.dlog_decay, nullptr});
  }

  /// As DecayChunkBackward.
  void carry(ColumnRange columns, const SequenceView<const S>& dy, const DecayState<S>& dstate) const noexcept {
    op.prepare(b, h, tokens, tiles);
    const MatrixView<const S> dout = columns_of(dy, b, h, tokens, columns, op.sizes.value_dim);
    const MatrixView<S> ds = columns_of(dstate.matrix, columns, op.sizes);
    correct(dout, ds);
    move_state(ds, dout, own.derrors.middle_rows(0, n).middle_cols(0, columns.size()));
  }

 private:
  [[nodiscard]] MatrixView<S> pairs_of(const MatrixView<S>& m) const noexcept { return {m.data, n, n, m.stride}; }

  /// du and de of some columns, from these of dY and dS_out.
  void correct(MatrixView<const S> dout, MatrixView<S> ds) const noexcept {
    const Index columns = dout.cols;
    const MatrixView<S> drows = own.drows.middle_rows(0, n).middle_cols(0, columns);
    small_multiply<S>(transposed_factor<S>(tiles.scores_of(n)), dout, drows, {}, Part::upper);
    small_multiply_add<S>(transposed_factor<S>(MatrixView<const S>(tiles.decayed_keys.middle_cols(0, n))), ds, drows);
    for (Index i = n - 1; i >= 0; --i) {
      for_each_lanes<S>(columns, [&](Index c, auto lanes) {
        const Simd<S> error = Simd<S>(tiles.beta[i]) * lanes.load(own.drows.row(i) + c);
        lanes.store(own.derrors.row(i) + c, error);
        for (Index j = 0; j < i; ++j) {
          lanes.store(own.drows.row(j) + c,
                      fma(Simd<S>(-tiles.products(i, j)), error, lanes.load(own.drows.row(j) + c)));
        }
      });
    }
  }

  void pull_back_decays(S through_state) const noexcept {
    const Index keys = op.sizes.key_dim;
    S behind{0}, before{0};
    for (Index i = n - 1; i >= 0; --i) {
      for (Index d = 0; d < keys; ++d) {
        behind += tiles.decayed_queries(i, d) * own.into_q(d, i) -
                  tiles.query_weights[i] * tiles.keys(i, d) * own.into_read(d, i);
      }
      own.dlog_decay[i] = through_state + behind;
    }
    for (Index j = 0; j < n; ++j) {
      own.dlog_decay[j] += before;
      for (Index d = 0; d < keys; ++d) before += tiles.decayed_keys(d, j) * own.into_k(d, j);
    }
    for (Index i = 0; i < n; ++i) {
      S passed{0};
      for (Index j = 0; j < i; ++j) {
        passed += own.dscores(i, j) * tiles.scores(i, j) - own.dproducts(i, j) * tiles.products(i, j);
        own.dlog_decay[j + 1] += passed;
      }
    }
  }

  /// The cotangent of the state, from behind the chunk to before it.
  void move_state(MatrixView<S> ds, MatrixView<const S> dout, MatrixView<const S> derrors) const noexcept {
    small_multiply<S>(transposed_factor<S>(tiles.decayed_queries.middle_rows(0, n)), dout, ds,
                      {true, tiles.state_decay, 0});
    const MatrixView<S> asking = own.dq.middle_rows(0, n);
    for (Index i = 0; i < n; ++i) {
      const Simd<S> weight(-tiles.query_weights[i]);
      transform(asking.row(i), tiles.keys.row(i), op.sizes.key_dim, [&](Simd<S> k) { return weight * k; });
    }
    small_multiply_add<S>(transposed_factor<S>(asking), derrors, ds);
  }

  void pull_back_keys(MatrixView<S> dscores, MatrixView<S> dproducts) const noexcept {
    const Index keys = op.sizes.key_dim;
    for (Index i = 0; i < n; ++i) {
      const S asked = tiles.query_weights[i], kept = tiles.pairs(n - 1, i);
      for (Index d = 0; d < keys; ++d) {
        own.dq(i, d) = asked * own.into_q(d, i);
        own.dk(i, d) = kept * own.into_k(d, i) - asked * own.into_read(d, i);
      }
      for (Index j = 0; j < n; ++j) {
        dscores(i, j) *= j <= i ? tiles.pairs(i, j) : S{0};
        dproducts(i, j) *= j < i ? -tiles.pairs(i, j) : S{0};
      }
    }
    const MatrixView<const S> k = tiles.keys.middle_rows(0, n), scores(dscores), products(dproducts);
    const MatrixView<S> dq = own.dq.middle_rows(0, n), dk = own.dk.middle_rows(0, n);
    small_multiply_add<S>(factor<S>(scores), k, dq, Part::lower);
    small_multiply_add<S>(transposed_factor<S>(scores), tiles.queries.middle_rows(0, n), dk, Part::upper);
    small_multiply_add<S>(factor<S>(products), k, dk, Part::lower);
    small_multiply_add<S>(transposed_factor<S>(products), k, dk, Part::upper);
  }

  /// Back through x' = factor x / l, l = sqrt(|x|^2 + eps) where lengths are taken:
  ///   dx = factor (dx' - x (x . dx') / l^2) / l
  void unscale(const S* x, S factor, const S* from, S* out) const noexcept {
    const Index keys = op.sizes.key_dim;
    const S length = op.length_of(x);
    const S along = op.unit_length ? dot(x, from, keys) / (length * length) : S{0};
    for_each_lanes<S>(keys, [&](Index d, auto lanes) {
      lanes.store(out + d, Simd<S>(factor / length) * fma(Simd<S>(-along), lanes.load(x + d), lanes.load(from + d)));
    });
  }
};

template <Scalar S, class Decay>
struct ChunkBackward<DeltaAttention<S, Decay>> {
  using Tiles = DeltaBackwardTiles<S>;
  using Type = DeltaChunkBackward<S, Decay>;
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
