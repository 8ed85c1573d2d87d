#pragma once

#include <array>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/ops/decay_policy.hpp>
#include <stepscan/ops/decay_read.hpp>
#include <stepscan/ops/decay_run.hpp>
#include <stepscan/ops/decay_scores.hpp>
#include <stepscan/scan/decay.hpp>

namespace stepscan::inline STEPSCAN_ISA {

struct DecaySizes {
  Index heads = 0;
  Index key_dim = 0;
  Index value_dim = 0;
};

/// So many heads in a row share their queries, keys or values.
struct HeadSharing {
  Index queries = 1;
  Index keys = 1;
  Index values = 1;
};

/// The chunk that suits these sizes: per channel as many tokens as a register has lanes, otherwise enough that a state
/// is passed over rarely, while the C x C scores stay a small part of the work.
template <class Policy, Scalar S>
[[nodiscard]] constexpr Index decay_chunk(const DecaySizes& sizes) noexcept {
  if (Policy::per_channel) return simd_width<S>;
  return sizes.key_dim * sizes.value_dim <= 1024 ? 16 : 32;
}

/// Attention by a decaying state over sequences that somebody projected: heads side by side in q and k
/// [batch, time, heads * key_dim] and v [batch, time, heads * value_dim]. The products of a chunk of n tokens
///   y = Qd S_in + P V,   S_out = diag(decay) S_in + Kd^T V
/// are the same for every policy, which makes decayed queries Qd, decayed keys Kd and scores P (ops/decay_scores.hpp).
/// With a denominator also Qd z + rowsum(P) and z_out = decay z_in + colsum(Kd).
template <Scalar S, class Decay, class Read = PlainRead, class Map = IdentityMap>
struct DecayAttention {
  using scalar_type = S;
  using Policy = Decay;
  using Reading = Read;
  using FeatureMap = Map;
  using Tiles = DecayTiles<S>;
  using Monoid = DecayAction<S, Decay::per_channel, Decay::stabilised>;
  using Element = typename Monoid::Element;

  DecaySizes sizes{};
  S scale{1};
  S eps{0};
  Decay policy{};
  SequenceView<const S> q{};
  SequenceView<const S> k{};
  SequenceView<const S> v{};
  HeadSharing shared{};

  [[nodiscard]] const S* query(Index b, Index h, Index t) const noexcept {
    return q.token(b, t) + h / shared.queries * sizes.key_dim;
  }
  [[nodiscard]] const S* key(Index b, Index h, Index t) const noexcept {
    return k.token(b, t) + h / shared.keys * sizes.key_dim;
  }
  [[nodiscard]] const S* value(Index b, Index h, Index t) const noexcept {
    return v.token(b, t) + h / shared.values * sizes.value_dim;
  }
  [[nodiscard]] MatrixView<const S> values(Index b, Index h, TokenRange tokens) const noexcept {
    return {value(b, h, tokens.begin), tokens.size(), sizes.value_dim, v.time_stride};
  }

  /// A state of one head in a row of numbers.
  [[nodiscard]] Index state_size() const noexcept {
    return sizes.key_dim * (sizes.value_dim + (Read::normalised ? 1 : 0)) + (Decay::stabilised ? 1 : 0);
  }
  [[nodiscard]] DecayState<S> state_at(S* data) const noexcept {
    S* const behind = data + sizes.key_dim * sizes.value_dim;
    return {data, Read::normalised ? behind : nullptr, Decay::stabilised ? behind + sizes.key_dim : nullptr};
  }
  /// The state of the s-th of all heads, where each part is a tensor [batch, heads, ...].
  [[nodiscard]] DecayState<S> state_of(const DecayState<S>& all, Index s) const noexcept {
    return {all.matrix + s * sizes.key_dim * sizes.value_dim,
            Read::normalised ? all.normaliser + s * sizes.key_dim : nullptr,
            Decay::stabilised ? all.maximum + s : nullptr};
  }
  void copy_state(const DecayState<S>& from, const DecayState<S>& to) const noexcept {
    std::copy_n(from.matrix, sizes.key_dim * sizes.value_dim, to.matrix);
    if (Read::normalised) std::copy_n(from.normaliser, sizes.key_dim, to.normaliser);
    if (Decay::stabilised) *to.maximum = *from.maximum;
  }

  /// What a run of tokens does to a state, in a row of numbers.
  [[nodiscard]] Monoid monoid() const noexcept { return {sizes.key_dim, sizes.value_dim}; }
  [[nodiscard]] Index element_size() const noexcept { return monoid().decay_size() + state_size(); }
  [[nodiscard]] Element element_at(S* data) const noexcept { return {data, state_at(data + monoid().decay_size())}; }

  [[nodiscard]] Index tile_size(Index chunk) const noexcept {
    return DecayTiles<S>::size(chunk, sizes.key_dim, Decay::per_channel);
  }
  [[nodiscard]] DecayTiles<S> tiles(S* memory, Index chunk) const noexcept {
    return DecayTiles<S>(memory, chunk, sizes.key_dim, Decay::per_channel);
  }

  void weigh(Index b, Index h, TokenRange tokens, const DecayState<S>& state, DecayTiles<S>& tiles) const noexcept {
    policy.weigh(b, h, tokens, Decay::stabilised ? *state.maximum : S{0}, tiles.weights);
  }

  void load(const S* from, S factor, S* to) const noexcept {
    for_each_lanes<S>(sizes.key_dim, [&](Index d, auto lanes) {
      lanes.store(to + d, Simd<S>(factor) * Map::value(lanes.load(from + d)));
    });
  }

  /// Qd, Kd and P of a chunk whose weights stand in the tiles.
  void prepare(Index b, Index h, TokenRange tokens, DecayTiles<S>& tiles) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      load(query(b, h, tokens.begin + t), scale, tiles.queries.row(t));
      load(key(b, h, tokens.begin + t), S{1}, tiles.keys.row(t));
    }
    tiles.template score<Decay>(tokens.size());
  }

  /// Kd alone, where nothing is read.
  void decay_keys(Index b, Index h, TokenRange tokens, DecayTiles<S>& tiles) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) load(key(b, h, tokens.begin + t), S{1}, tiles.keys.row(t));
    tiles.template score<Decay, false>(tokens.size());
  }

  /// The rows that a chunk's keys write to the state that enters it: the values.
  [[nodiscard]] MatrixView<const S> written(Index b, Index h, TokenRange tokens, DecayTiles<S>&,
                                            const DecayState<S>&) const noexcept {
    return values(b, h, tokens);
  }

  /// y of a chunk; the divisors stay in the tiles.
  void read(MatrixView<const S> rows, DecayTiles<S>& tiles, const DecayState<S>& state,
            MatrixView<S> y) const noexcept {
    const Index n = rows.rows;
    small_multiply<S>(factor<S>(tiles.decayed_queries.middle_rows(0, n)),
                      {state.matrix, sizes.key_dim, sizes.value_dim}, y);
    small_multiply_add<S>(factor<S>(tiles.scores_of(n)), rows, y, Part::lower);
    if constexpr (Read::normalised) {
      for (Index i = 0; i < n; ++i) {
        const S sum =
            dot(tiles.decayed_queries.row(i), state.normaliser, sizes.key_dim) + sum_of(tiles.scores.row(i), n);
        tiles.denominators[i] = sum;
        tiles.divisors[i] = Read::divisor(sum, Decay::stabilised ? tiles.weights.maximum[i] : S{0}, eps);
        transform(y.row(i), y.row(i), sizes.value_dim, [&](Simd<S> x) { return x / Simd<S>(tiles.divisors[i]); });
      }
    }
  }

  /// The state from before a chunk to behind it.
  void update(MatrixView<const S> rows, const DecayTiles<S>& tiles, const DecayState<S>& state) const noexcept {
    const Index n = rows.rows;
    const MatrixView<const S> keys = MatrixView<const S>(tiles.decayed_keys).middle_cols(0, n);
    small_multiply<S>(factor<S>(keys), rows, {state.matrix, sizes.key_dim, sizes.value_dim},
                      {true, tiles.state_decay, Decay::per_channel ? 1 : 0});
    if constexpr (Read::normalised) {
      for (Index d = 0; d < sizes.key_dim; ++d) {
        const S decay = tiles.state_decay[Decay::per_channel ? d : 0];
        state.normaliser[d] = decay * state.normaliser[d] + sum_of(keys.row(d), n);
      }
    }
    if constexpr (Decay::stabilised) *state.maximum = tiles.weights.maximum[n - 1];
  }

  /// A chunk behind those that the element sums up.
  void append(Index b, Index h, TokenRange tokens, DecayTiles<S>& tiles, const Element& element) const noexcept {
    weigh(b, h, tokens, element.state, tiles);
    monoid().append(element, tiles, tokens.size());
    decay_keys(b, h, tokens, tiles);
    update(values(b, h, tokens), tiles, element.state);
  }

  /// Tokens of a run, and the scratch that it takes.
  [[nodiscard]] Index run_tokens() const noexcept {
    const Index rows = 2 * sizes.value_dim + (Decay::per_channel ? 3 : 2) * sizes.key_dim;
    return solve_state_run(rows * static_cast<Index>(sizeof(S)));
  }
  [[nodiscard]] Index run_size(Index tokens) const noexcept {
    return DecayRun<S>::size(tokens, sizes.key_dim, sizes.value_dim, Decay::per_channel);
  }

  /// A run of at most `most` tokens, in groups of four or, as `token` does, one after another.
  template <bool Grouped>
  void run(Index b, Index h, TokenRange tokens, S* scratch, Index most, const DecayState<S>& state,
           MatrixView<S> y) const noexcept {
    DecayRun<S> rows(scratch, most, sizes.key_dim, sizes.value_dim, Decay::per_channel);
    const Index n = tokens.size();
    policy.weigh(b, h, tokens, Decay::stabilised ? *state.maximum : S{0}, rows.weights);
    const auto pad = [](S* row, Index size) { std::fill(row + size, row + DecayRun<S>::padded(size), S{0}); };
    for (Index t = 0; t < n; ++t) {
      load(query(b, h, tokens.begin + t), scale, rows.queries.row(t));
      load(key(b, h, tokens.begin + t), Decay::weighted ? rows.weights.input[t] : S{1}, rows.keys.row(t));
      std::copy_n(value(b, h, tokens.begin + t), sizes.value_dim, rows.values.row(t));
      pad(rows.queries.row(t), sizes.key_dim);
      pad(rows.keys.row(t), sizes.key_dim);
      pad(rows.values.row(t), sizes.value_dim);
      if (Decay::per_channel) pad(rows.weights.decay + t * rows.weights.stride, sizes.key_dim);
    }
    if constexpr (Read::normalised) {
      for (Index t = 0; t < n; ++t) {
        const S maximum = Decay::stabilised ? rows.weights.maximum[t] : S{0};
        rows.divisors[t] = divisor(rows.weights.decay + t * rows.weights.stride, rows.queries.row(t), rows.keys.row(t),
                                   state.normaliser, maximum);
      }
    }
    rows.template pass<Decay::per_channel, Grouped>(n, state.matrix);
    for (Index t = 0; t < n; ++t) write(rows.outputs.row(t), Read::normalised ? rows.divisors[t] : S{1}, y.row(t));
    if constexpr (Decay::stabilised) *state.maximum = rows.weights.maximum[n - 1];
  }

  /// One token: the state moves on and is read in one pass.
  void token(Index b, Index h, Index t, DecayTiles<S>& tiles, const DecayState<S>& state, S* y) const noexcept {
    weigh(b, h, {t, t + 1}, state, tiles);
    load(query(b, h, t), scale, tiles.queries.data);
    load(key(b, h, t), Decay::weighted ? *tiles.weights.input : S{1}, tiles.keys.data);
    detail::advance_state<Decay::per_channel>(tiles.weights.decay, tiles.queries.data, tiles.keys.data, value(b, h, t),
                                              sizes.key_dim, sizes.value_dim, state.matrix, y);
    if constexpr (Decay::stabilised) *state.maximum = *tiles.weights.maximum;
    if constexpr (Read::normalised) {
      write(y,
            divisor(tiles.weights.decay, tiles.queries.data, tiles.keys.data, state.normaliser,
                    Decay::stabilised ? *state.maximum : S{0}),
            y);
    }
  }

 private:
  [[nodiscard]] static S sum_of(const S* x, Index n) noexcept {
    return sum_lanes<S, 1>(n, [&](Index i, auto lanes) { return std::array{lanes.load(x + i)}; })[0];
  }

  /// z = a z + k of one token, and what q . z makes of an output.
  [[nodiscard]] S divisor(const S* decays, const S* asked, const S* added, S* z, S maximum) const noexcept {
    const S denominator = sum_lanes<S, 1>(sizes.key_dim, [&](Index d, auto lanes) {
      const Simd<S> decay = Decay::per_channel ? lanes.load(decays + d) : Simd<S>(*decays);
      const Simd<S> next = fma(decay, lanes.load(z + d), lanes.load(added + d));
      lanes.store(z + d, next);
      return std::array{lanes.load(asked + d) * next};
    })[0];
    return Read::divisor(denominator, maximum, eps);
  }
  void write(const S* from, S by, S* y) const noexcept {
    if constexpr (Read::normalised) {
      transform(y, from, sizes.value_dim, [&](Simd<S> x) { return x / Simd<S>(by); });
    } else {
      std::copy_n(from, sizes.value_dim, y);
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
