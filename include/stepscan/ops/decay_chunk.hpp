#pragma once

#include <array>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/ops/decay_columns.hpp>
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

namespace detail {

/// A run of tokens through all columns.
template <bool Grouped, class Attention, Scalar S = typename Attention::scalar_type>
void pass_run(const Attention& op, Index b, Index h, TokenRange tokens, S* scratch, const DecayState<S>& state,
              MatrixView<S> y, RowsAhead<S>& ahead) noexcept {
  auto run = op.shared_at(scratch, tokens.size());
  op.weigh_run(b, h, tokens, Attention::Policy::stabilised ? *state.maximum : S{0}, run);
  op.template gather_run<Grouped>(b, h, tokens, run);
  op.template pass_columns<Grouped>(b, h, tokens, run, {0, op.sizes.value_dim}, scratch + op.shared_size(tokens.size()),
                                    state, y, ahead);
  if constexpr (Attention::Policy::stabilised) *state.maximum = run.weights.maximum[tokens.size() - 1];
}

}  // namespace detail

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
  using Run = DecayRun<S>;
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
  const S* skip = nullptr;  ///< [heads]: so much of a token's values is added to what is read; null: nothing

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

  /// These columns of a state alone.
  void copy_columns(ColumnRange columns, const DecayState<S>& from, const DecayState<S>& to) const noexcept {
    for (Index d = 0; d < sizes.key_dim; ++d) {
      const Index row = d * sizes.value_dim + columns.begin;
      std::copy_n(from.matrix + row, columns.size(), to.matrix + row);
    }
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

  /// Tokens of a run; the memory of what its columns share, and of a band of columns.
  [[nodiscard]] Index run_tokens() const noexcept {
    const Index rows = 2 * sizes.value_dim + (Decay::per_channel ? 3 : 2) * sizes.key_dim;
    return solve_state_run(rows * static_cast<Index>(sizeof(S)));
  }
  [[nodiscard]] Index shared_size(Index tokens) const noexcept {
    return DecayRun<S>::size(tokens, sizes.key_dim, Decay::per_channel);
  }
  [[nodiscard]] DecayRun<S> shared_at(S* memory, Index tokens) const noexcept {
    return DecayRun<S>(memory, tokens, sizes.key_dim, Decay::per_channel);
  }
  [[nodiscard]] Index band_size(Index tokens) const noexcept {
    return DecayBand<S>::size(tokens) + padded_lanes<S>(tokens);
  }
  static constexpr Index narrowest_band = DecayBand<S>::narrowest;
  /// Whether columns can be split where tokens pass one after another.
  static constexpr bool splits_tokens = true;
  /// From how many tokens on groups pay.
  [[nodiscard]] Index shortest_run() const noexcept {
    return solve_shortest_groups(sizes.key_dim, sizes.value_dim, simd_width<S>);
  }
  [[nodiscard]] Index run_size(Index tokens) const noexcept { return shared_size(tokens) + band_size(tokens); }

  void weigh_run(Index b, Index h, TokenRange tokens, S maximum, const DecayRun<S>& run) const noexcept {
    policy.weigh(b, h, tokens, maximum, run.weights);
  }

  /// What the columns of a run share, its weights being known; with Grouped for groups of four tokens.
  template <bool Grouped>
  void gather_run(Index b, Index h, TokenRange tokens, DecayRun<S>& run) const noexcept {
    const auto pad = [&](S* row) { std::fill(row + sizes.key_dim, row + run.keys.stride, S{0}); };
    const Index whole = Grouped ? DecayRun<S>::grouped(tokens.size()) : 0;
    if constexpr (Grouped) {
      const S* const input = run.weights.input;
      run.template gather<Decay::per_channel>(
          whole, {query(b, h, tokens.begin), tokens.size(), sizes.key_dim, q.time_stride},
          {key(b, h, tokens.begin), tokens.size(), sizes.key_dim, k.time_stride},
          [by = Simd<S>(scale)](Simd<S> x) __attribute__((always_inline)) { return by * Map::value(x); },
          [input](Simd<S> x, Index t) __attribute__((always_inline)) {
            return Decay::weighted ? Simd<S>(input[t]) * Map::value(x) : Map::value(x);
          });
    }
    for (Index t = whole; t < tokens.size(); ++t) {
      load(query(b, h, tokens.begin + t), scale, run.queries.row(t));
      load(key(b, h, tokens.begin + t), Decay::weighted ? run.weights.input[t] : S{1}, run.keys.row(t));
      pad(run.queries.row(t));
      pad(run.keys.row(t));
      if (Decay::per_channel) pad(run.weights.decay + t * run.weights.stride);
    }
  }

  /// These columns of a run, from the state and into it; y are the rows of all columns. Moves z, too.
  template <bool Grouped>
  void pass_columns(Index b, Index h, TokenRange tokens, const DecayRun<S>& run, ColumnRange columns, S* scratch,
                    const DecayState<S>& state, MatrixView<S> y, RowsAhead<S>& ahead) const noexcept {
    const Index n = tokens.size();
    S* const divisors = scratch + DecayBand<S>::size(n);
    if constexpr (Read::normalised) divide<Grouped>(run, n, state.normaliser, divisors);
    ahead.spread(DecayBand<S>::tiles(sizes.key_dim, columns.size()));
    for (Index first = columns.begin; first < columns.end; first += DecayBand<S>::widest) {
      const Index count = std::min(DecayBand<S>::widest, columns.end - first);
      DecayBand<S> band(run, ahead, scratch, n, count);
      band.template pass<Decay::per_channel, Grouped>(n, value(b, h, tokens.begin) + first, v.time_stride,
                                                      skip == nullptr ? S{0} : skip[h], state.matrix + first,
                                                      sizes.value_dim);
      for (Index t = 0; t < n; ++t) {
        write(band.outputs.row(t), Read::normalised ? divisors[t] : S{1}, count, y.row(t) + first);
      }
    }
  }

  /// The rows that what columns share is made of: q, k and, per channel, the decays.
  void gathers(Index b, Index h, TokenRange tokens, RowsAhead<S>& ahead) const noexcept {
    ahead.add({query(b, h, tokens.begin), tokens.size(), sizes.key_dim, q.time_stride});
    ahead.add({key(b, h, tokens.begin), tokens.size(), sizes.key_dim, k.time_stride});
    if constexpr (Decay::per_channel) ahead.add(policy.rows(b, h, tokens));
  }

  /// A whole run, in groups of four or, as `token` does, one after another.
  template <bool Grouped>
  void run(Index b, Index h, TokenRange tokens, S* scratch, const DecayState<S>& state, MatrixView<S> y,
           RowsAhead<S>& ahead) const noexcept {
    detail::pass_run<Grouped>(*this, b, h, tokens, scratch, state, y, ahead);
  }

  /// One token: the state moves on and is read in one pass.
  void token(Index b, Index h, Index t, DecayTiles<S>& tiles, const DecayState<S>& state, S* y) const noexcept {
    weigh(b, h, {t, t + 1}, state, tiles);
    load(query(b, h, t), scale, tiles.queries.data);
    load(key(b, h, t), Decay::weighted ? *tiles.weights.input : S{1}, tiles.keys.data);
    detail::advance_state<Decay::per_channel>(tiles.weights.decay, tiles.queries.data, tiles.keys.data, value(b, h, t),
                                              sizes.key_dim, sizes.value_dim, state.matrix, y,
                                              skip == nullptr ? S{0} : skip[h]);
    if constexpr (Decay::stabilised) *state.maximum = *tiles.weights.maximum;
    if constexpr (Read::normalised) {
      write(y,
            divisor(tiles.weights.decay, tiles.queries.data, tiles.keys.data, state.normaliser,
                    Decay::stabilised ? *state.maximum : S{0}),
            sizes.value_dim, y);
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

  /// What the outputs of a run are divided by; z moves from before to behind it.
  template <bool Grouped>
  void divide(const DecayRun<S>& run, Index n, S* z, S* divisors) const noexcept {
    constexpr Index group = DecayRun<S>::group;
    const auto maximum = [&](Index t) { return Decay::stabilised ? run.weights.maximum[t] : S{0}; };
    Index t = 0;
    for (; Grouped && t + group <= n; t += group) {
      const S* const decay = run.weights.decay + t * run.weights.stride;
      const S* scores = run.scores + t / group * DecayRun<S>::group_scores;
      const auto sums = sum_lanes<S, group>(sizes.key_dim, [&](Index d, auto lanes) {
        const Simd<S> before = lanes.load(z + d);
        std::array<Simd<S>, group> terms;
        Simd<S> next = (Decay::per_channel ? lanes.load(decay + d) : Simd<S>(*decay)) * before;
        for (Index i = 0; i < group; ++i) {
          terms[static_cast<std::size_t>(i)] = lanes.load(run.queries.row(t + i) + d) * before;
          next = next + lanes.load(run.keys.row(t + i) + d);
        }
        lanes.store(z + d, next);
        return terms;
      });
      for (Index i = 0; i < group; ++i) {
        S denominator = sums[static_cast<std::size_t>(i)];
        for (Index j = 0; j <= i; ++j) denominator += *scores++;
        divisors[t + i] = Read::divisor(denominator, maximum(t + i), eps);
      }
    }
    for (; t < n; ++t) {
      divisors[t] =
          divisor(run.weights.decay + t * run.weights.stride, run.queries.row(t), run.keys.row(t), z, maximum(t));
    }
  }

  void write(const S* from, S by, Index count, S* y) const noexcept {
    if constexpr (Read::normalised) {
      transform(y, from, count, [&](Simd<S> x) { return x / Simd<S>(by); });
    } else {
      std::copy_n(from, count, y);
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
