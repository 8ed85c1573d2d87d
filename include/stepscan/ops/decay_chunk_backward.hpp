#pragma once

#include <array>
#include <stepscan/ops/decay_chunk.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where the cotangents of queries, keys and values go, shaped as these, heads never shared; those of gates go where
/// the policy says.
template <Scalar S>
struct DecayGradients {
  SequenceView<S> dq;
  SequenceView<S> dk;
  SequenceView<S> dv;
};

namespace detail {

/// The tiles of one chunk's backward pass.
template <Scalar S>
struct DecayBackwardTiles {
  MatrixView<S> dy;             ///< cotangent of the numerator [chunk, value_dim]
  MatrixView<S> transposed;     ///< dy or v [value_dim, chunk]
  MatrixView<S> y;              ///< [chunk, value_dim]
  MatrixView<S> dscores;        ///< [chunk, chunk]
  MatrixView<S> transposed_dq;  ///< of Qd [key_dim, chunk]
  MatrixView<S> transposed_dk;  ///< of Kd [key_dim, chunk]
  MatrixView<S> dq;             ///< [chunk, key_dim]
  MatrixView<S> dk;             ///< [chunk, key_dim]
  S* ddenominator = nullptr;    ///< [chunk]
  S* dmaximum = nullptr;        ///< [chunk]
  S* dstate_decay = nullptr;    ///< of the logarithm, [key_dim]
  DecayCotangents<S> weights;

  static constexpr Index size(Index chunk, const DecaySizes& sizes, bool per_channel) noexcept {
    const Index c = DecayTiles<S>::padded(chunk);
    return 3 * c * sizes.value_dim + c * c + 4 * c * sizes.key_dim + 3 * c + sizes.key_dim +
           c * (per_channel ? sizes.key_dim : 1);
  }
  DecayBackwardTiles(S* memory, Index chunk, const DecaySizes& sizes, bool per_channel) noexcept {
    const Index c = DecayTiles<S>::padded(chunk), keys = sizes.key_dim, values = sizes.value_dim;
    const auto take = [&](Index count) { return std::exchange(memory, memory + count); };
    dy = {take(c * values), c, values};
    transposed = {take(c * values), values, c};
    y = {take(c * values), c, values};
    dscores = {take(c * c), c, c};
    transposed_dq = {take(c * keys), keys, c};
    transposed_dk = {take(c * keys), keys, c};
    dq = {take(c * keys), c, keys};
    dk = {take(c * keys), c, keys};
    ddenominator = take(c);
    dmaximum = take(c);
    dstate_decay = take(keys);
    weights.input = take(c);
    weights.decay = take(c * (per_channel ? keys : 1));
  }
};

/// Some columns of the rows of y, and of a state.
template <Scalar S>
[[nodiscard]] MatrixView<const S> columns_of(const SequenceView<const S>& y, Index b, Index h, TokenRange tokens,
                                             ColumnRange columns, Index value_dim) noexcept {
  return {y.token(b, tokens.begin) + h * value_dim + columns.begin, tokens.size(), columns.size(), y.time_stride};
}
template <Scalar S>
[[nodiscard]] MatrixView<S> columns_of(S* state, ColumnRange columns, const DecaySizes& sizes) noexcept {
  return {state + columns.begin, sizes.key_dim, columns.size(), sizes.value_dim};
}

/// The chunk's cotangents, from tiles that hold its forward quantities, the state S that entered it and the cotangent
/// of the one that left it:
///   dP = tril(dY V^T),  dV = P^T dY + Kd dS_out,  dQd = dY S^T,  dKd = V dS_out^T,  dS = decay dS_out + Qd^T dY
/// with dY the cotangent of the numerator and that of the denominator as a further column. What the decays get is a sum
/// of what passes through them and no difference, so that it is exact at every decay:
///   dlog a_t = sum_(i >= t) Qd_i dQd_i + sum_(j < t) Kd_j dKd_j + sum_(j < t <= i) dP_ij P_ij + decay <dS_out, S>
template <class Attention>
struct DecayChunkBackward {
  using S = typename Attention::scalar_type;
  using Policy = typename Attention::Policy;
  using Read = typename Attention::Reading;

  const Attention& op;
  const DecayGradients<S>& to;
  DecayTiles<S>& tiles;
  DecayBackwardTiles<S>& own;
  Index b, h;
  TokenRange tokens;
  Index n = tokens.size();

  void run(const DecayState<S>& state, SequenceView<const S> dy, const DecayState<S>& dstate) const noexcept {
    take_cotangents(state, dy);
    const Index keys = op.sizes.key_dim, values = op.sizes.value_dim;
    const MatrixView<const S> v = op.values(b, h, tokens), dnum = own.dy.middle_rows(0, n);
    const MatrixView<const S> s(state.matrix, keys, values);
    const MatrixView<S> ds(dstate.matrix, keys, values), across(own.transposed.data, values, n, own.transposed.stride);
    const MatrixView<S> dv(to.dv.token(b, tokens.begin) + h * values, n, values, to.dv.time_stride);

    transpose<S>(dnum, across);
    small_multiply<S>(factor<S>(s), across, own.transposed_dq.middle_cols(0, n));
    transpose<S>(v, across);
    small_multiply<S>(factor<S>(dnum), across, {own.dscores.data, n, n, own.dscores.stride});
    small_multiply<S>(factor<S>(MatrixView<const S>(ds)), across, own.transposed_dk.middle_cols(0, n));
    small_multiply<S>(transposed_factor<S>(tiles.scores_of(n)), dnum, dv, {}, Part::upper);
    small_multiply_add<S>(transposed_factor<S>(MatrixView<const S>(tiles.decayed_keys.middle_cols(0, n))), ds, dv);
    if constexpr (Read::normalised) add_denominator(state, dstate);

    const S* const decay = tiles.state_decay;
    constexpr Index stride = Policy::per_channel ? 1 : 0;
    for (Index d = 0; d < keys; ++d) {
      S passed = dot(s.row(d), ds.row(d), values);
      if constexpr (Read::normalised) passed += state.normaliser[d] * dstate.normaliser[d];
      own.dstate_decay[d] = decay[d * stride] * passed;
    }
    small_multiply<S>(transposed_factor<S>(tiles.decayed_queries.middle_rows(0, n)), dnum, ds, {true, decay, stride});
    if constexpr (Read::normalised) {
      for (Index d = 0; d < keys; ++d) {
        S sum = decay[d * stride] * dstate.normaliser[d];
        for (Index i = 0; i < n; ++i) sum += tiles.decayed_queries(i, d) * own.ddenominator[i];
        dstate.normaliser[d] = sum;
      }
    }
    if constexpr (Policy::per_channel) {
      pull_back_channels();
    } else {
      pull_back_tokens(dstate);
    }
    for (Index t = 0; t < n; ++t) {
      unmap(op.query(b, h, tokens.begin + t), op.scale, own.dq.row(t), to.dq.token(b, tokens.begin + t) + h * keys);
      unmap(op.key(b, h, tokens.begin + t), S{1}, own.dk.row(t), to.dk.token(b, tokens.begin + t) + h * keys);
    }
    op.policy.pull_back(b, h, tokens, own.weights);
  }

  /// These columns of the state's cotangent alone, from behind the tokens to before them, where the denominator does
  /// not mix columns; to the same bits.
  void carry(ColumnRange columns, const SequenceView<const S>& dy, const DecayState<S>& dstate) const noexcept {
    static_assert(!Read::normalised);
    for (Index t = 0; t < n; ++t) op.load(op.query(b, h, tokens.begin + t), op.scale, tiles.queries.row(t));
    tiles.template decay_queries<Policy>(n);
    small_multiply<S>(transposed_factor<S>(tiles.decayed_queries.middle_rows(0, n)),
                      columns_of(dy, b, h, tokens, columns, op.sizes.value_dim),
                      columns_of(dstate.matrix, columns, op.sizes), {true, tiles.state_decay, Policy::per_channel});
  }

 private:
  void unmap(const S* x, S factor, const S* from, S* out) const noexcept {
    for_each_lanes<S>(op.sizes.key_dim, [&](Index d, auto lanes) {
      lanes.store(out + d,
                  Simd<S>(factor) * lanes.load(from + d) * Attention::FeatureMap::derivative(lanes.load(x + d)));
    });
  }

  /// Cotangents of numerator and denominator: y = num / N: dnum = dy / N, dN = -(y dy) / N.
  void take_cotangents(const DecayState<S>& state, SequenceView<const S> dy) const noexcept {
    const Index values = op.sizes.value_dim;
    for (Index i = 0; i < n; ++i) std::copy_n(dy.token(b, tokens.begin + i) + h * values, values, own.dy.row(i));
    if constexpr (Read::normalised) {
      op.read(op.values(b, h, tokens), tiles, state, own.y.middle_rows(0, n));
      for (Index i = 0; i < n; ++i) {
        const S divisor = tiles.divisors[i], dn = -dot(own.y.row(i), own.dy.row(i), values) / divisor;
        transform(own.dy.row(i), own.dy.row(i), values, [&](Simd<S> x) { return x / Simd<S>(divisor); });
        own.ddenominator[i] =
            dn * Read::slope(tiles.denominators[i], Policy::stabilised ? tiles.weights.maximum[i] : S{0});
        own.dmaximum[i] = dn * op.eps;
      }
    }
  }

  void add_denominator(const DecayState<S>& state, const DecayState<S>& dstate) const noexcept {
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j <= i; ++j) own.dscores(i, j) += own.ddenominator[i];
    }
    for (Index d = 0; d < op.sizes.key_dim; ++d) {
      for (Index i = 0; i < n; ++i) {
        own.transposed_dq(d, i) += state.normaliser[d] * own.ddenominator[i];
        own.transposed_dk(d, i) += dstate.normaliser[d];
      }
    }
  }

  void pull_back_tokens(const DecayState<S>& dstate) const noexcept {
    const Index keys = op.sizes.key_dim;
    const S* const key_weights = tiles.pairs.row(n - 1);
    S through_state{0};
    for (Index d = 0; d < keys; ++d) through_state += own.dstate_decay[d];
    for (Index t = 0; t < n; ++t) {
      own.weights.decay[t] = through_state;
      own.weights.input[t] = 0;
    }
    S behind{0}, before{0};
    for (Index i = n - 1; i >= 0; --i) {  // sum_(i >= t) Qd_i dQd_i
      for (Index d = 0; d < keys; ++d) behind += tiles.decayed_queries(i, d) * own.transposed_dq(d, i);
      own.weights.decay[i] += behind;
    }
    for (Index j = 0; j < n; ++j) {  // sum_(j < t) Kd_j dKd_j
      own.weights.decay[j] += before;
      S passed{0};
      for (Index d = 0; d < keys; ++d) passed += tiles.decayed_keys(d, j) * own.transposed_dk(d, j);
      own.weights.input[j] += passed;
      before += passed;
    }
    for (Index i = 0; i < n; ++i) {
      S passed{0};
      for (Index j = 0; j <= i; ++j) {
        const S pair = own.dscores(i, j) * tiles.scores(i, j);
        own.weights.input[j] += pair;
        passed += pair;
        if (j < i) own.weights.decay[j + 1] += passed;
      }
    }
    if constexpr (Policy::stabilised) pass_maxima(dstate, through_state, behind, before);

    for (Index i = 0; i < n; ++i) {
      for (Index d = 0; d < keys; ++d) {
        own.dq(i, d) = tiles.query_weights[i] * own.transposed_dq(d, i);
        own.dk(i, d) = key_weights[i] * own.transposed_dk(d, i);
      }
      for (Index j = 0; j <= i; ++j) own.dscores(i, j) *= tiles.pairs(i, j);
      for (Index j = i + 1; j < n; ++j) own.dscores(i, j) = 0;
    }
    const MatrixView<const S> pairs(own.dscores.data, n, n, own.dscores.stride);
    small_multiply_add<S>(factor<S>(pairs), tiles.keys.middle_rows(0, n), own.dq.middle_rows(0, n), Part::lower);
    small_multiply_add<S>(transposed_factor<S>(pairs), tiles.queries.middle_rows(0, n), own.dk.middle_rows(0, n),
                          Part::upper);
  }

  /// With exp(m) C held fixed, y sees m through eps alone and the last state through its scale; what each m gets goes
  /// to the winner of its maximum: the token's input, or the maximum before.
  void pass_maxima(const DecayState<S>& dstate, S through_state, S through_queries, S through_keys) const noexcept {
    S carried = *dstate.maximum - through_state - through_keys;
    for (Index i = n - 1; i >= 0; --i) {
      carried += own.dmaximum[i];
      if (tiles.weights.log_input[i] < 0) {
        own.weights.decay[i] += carried;
      } else {
        own.weights.input[i] += carried;
        carried = 0;
      }
    }
    *dstate.maximum = carried + through_state + through_queries;
  }

  /// The same with a decay per channel: w runs over the products a_(j+1) ... a_i for each i.
  void pull_back_channels() const noexcept {
    const Index keys = op.sizes.key_dim;
    transpose<S>(MatrixView<const S>(own.transposed_dq.middle_cols(0, n)), own.dq.middle_rows(0, n));
    transpose<S>(MatrixView<const S>(own.transposed_dk.middle_cols(0, n)), own.dk.middle_rows(0, n));
    const auto at = [&](const MatrixView<S>& m, Index t) { return m.row(t); };
    for_each_lanes<S>(keys, [&](Index d, auto lanes) {
      const auto decay = [&](Index t) { return lanes.load(tiles.weights.decay + t * keys + d); };
      const auto add = [&](S* to_row, Simd<S> x) { lanes.store(to_row + d, lanes.load(to_row + d) + x); };
      Simd<S> behind(S{0}), before(S{0}), product(S{1});
      const Simd<S> through_state = lanes.load(own.dstate_decay + d);
      for (Index i = n - 1; i >= 0; --i) {
        behind = fma(lanes.load(at(tiles.decayed_queries, i) + d), lanes.load(at(own.dq, i) + d), behind);
        lanes.store(own.weights.decay + i * keys + d, behind + through_state);
      }
      for (Index i = 0; i < n; ++i) {
        product = product * decay(i);
        lanes.store(at(own.dq, i) + d, product * lanes.load(at(own.dq, i) + d));
      }
      product = Simd<S>(S{1});
      for (Index j = n - 1; j >= 0; --j) {
        lanes.store(at(own.dk, j) + d, product * lanes.load(at(own.dk, j) + d));
        product = product * decay(j);
      }
      for (Index j = 0; j < n; ++j) {
        add(own.weights.decay + j * keys, before);
        before = fma(lanes.load(at(tiles.keys, j) + d), lanes.load(at(own.dk, j) + d), before);
      }
      std::array<Simd<S>, static_cast<std::size_t>(simd_width<S>)> w;
      for (Index i = 0; i < n; ++i) {
        const Simd<S> query = lanes.load(at(tiles.queries, i) + d);
        Simd<S> left(S{1}), passed(S{0}), dq = lanes.load(at(own.dq, i) + d);
        for (Index j = i; j >= 0; --j) {
          w[static_cast<std::size_t>(j)] = left * Simd<S>(own.dscores(i, j));
          left = left * decay(j);
        }
        for (Index j = 0; j <= i; ++j) {
          const Simd<S> key = w[static_cast<std::size_t>(j)] * lanes.load(at(tiles.keys, j) + d);
          dq = dq + key;
          passed = fma(query, key, passed);
          if (j < i) add(own.weights.decay + (j + 1) * keys, passed);
        }
        lanes.store(at(own.dq, i) + d, dq);
      }
      // dk reads the pairs once more, after the sums above have used what goes through the state alone.
      for (Index i = 0; i < n; ++i) {
        Simd<S> left(S{1});
        const Simd<S> query = lanes.load(at(tiles.queries, i) + d);
        for (Index j = i; j >= 0; --j) {
          add(at(own.dk, j), left * Simd<S>(own.dscores(i, j)) * query);
          left = left * decay(j);
        }
      }
    });
  }
};

/// The backward pass of one chunk of an attention, and its tiles.
template <class Attention>
struct ChunkBackward {
  using Tiles = DecayBackwardTiles<typename Attention::scalar_type>;
  using Type = DecayChunkBackward<Attention>;
};

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
