#pragma once

#include <array>
#include <stepscan/ops/decay_attention.hpp>
#include <stepscan/ops/delta_run.hpp>
#include <stepscan/scan/dense_affine.hpp>

/// The delta rule (DeltaNet, arXiv 2406.06484; gated: arXiv 2412.06464): a token corrects what the decayed state
/// answers to its key,
///   S' = a_t S_(t-1),   u_t = beta_t (v_t - S'^T k_t),   S_t = S' + k_t u_t^T,   y_t = scale q_t^T S_t
/// Outputs come in pairs of tokens (ops/delta_run.hpp). For a chunk's summary and its backward pass, once the
/// rows u of the chunk are known, it is that of linear attention with u in the place of v (ops/decay_chunk.hpp). They
/// solve a unit lower triangular system (the UT transform): with b_i the product of decays up to token i, and E_ij that
/// behind token j up to token i,
///   u_i = beta_i e_i,   e_i = v_i - b_i S_in^T k_i - sum_(j<i) N_ij u_j,   N_ij = E_ij k_i . k_j
/// by forward substitution, which stays accurate where keys are nearly parallel and beta near 1.
namespace stepscan::inline STEPSCAN_ISA {

/// The maps S -> A S + U, A [key_dim, key_dim] dense: what a run of tokens does to a state.
template <Scalar S>
struct DeltaAction {
  struct Element {
    S* A = nullptr;
    S* U = nullptr;
  };
  using State = DecayState<S>;

  DenseAffine<S> maps;

  void identity(const Element& out) const noexcept { maps.identity({{out.A}, {out.U}}); }
  void combine(const Element& earlier, const Element& later, const Element& out) const noexcept {
    maps.combine({{earlier.A}, {earlier.U}}, {{later.A}, {later.U}}, {{out.A}, {out.U}});
  }
  void act(const Element& element, const State& from, const State& to) const noexcept {
    maps.act({{element.A}, {element.U}}, {from.matrix}, {to.matrix});
  }
};
static_assert(Action<DeltaAction<float>>);

/// The tiles of a chunk, with the system and its solution.
template <Scalar S>
struct DeltaTiles : DecayTiles<S> {
  MatrixView<S> products;  ///< N [chunk, chunk], undefined from the diagonal on
  MatrixView<S> errors;    ///< e [chunk, value_dim or key_dim]
  MatrixView<S> rows;      ///< u, as e
  S* beta = nullptr;       ///< [chunk]

  static constexpr Index size(Index chunk, const DecaySizes& sizes) noexcept {
    const Index c = DecayTiles<S>::padded(chunk), most = std::max(sizes.key_dim, sizes.value_dim);
    return DecayTiles<S>::size(chunk, sizes.key_dim, false) + c * c + 2 * c * most + c;
  }
  DeltaTiles(S* memory, Index chunk, const DecaySizes& sizes) noexcept
      : DecayTiles<S>(memory, chunk, sizes.key_dim, false) {
    const Index c = DecayTiles<S>::padded(chunk), most = std::max(sizes.key_dim, sizes.value_dim);
    memory += DecayTiles<S>::size(chunk, sizes.key_dim, false);
    products = {memory, c, c};
    errors = {memory + c * c, c, most};
    rows = {errors.data + c * most, c, most};
    beta = rows.data + c * most;
  }

  /// N of n keys whose decays have been worked out.
  void multiply_keys(Index n) noexcept { this->multiply_pairs(this->keys, products, n); }

  /// u and e for a state [key_dim, columns] that enters the chunk, and values [n, columns] (none: all zero). Four rows
  /// at a time: a product takes them past all rows before, then each passes its own predecessors in registers.
  void solve(Index n, MatrixView<const S> state, MatrixView<const S> values) noexcept {
    constexpr Index block = 4;
    const Index columns = state.cols;
    const MatrixView<S> e = errors.middle_cols(0, columns), u = rows.middle_cols(0, columns);
    small_multiply<S>(factor<S>(this->keys.middle_rows(0, n)), state, e.middle_rows(0, n));
    for (Index first = 0; first < n; first += block) {
      const Index count = std::min(block, n - first);
      const MatrixView<const S> before(products.row(first), count, first, products.stride);
      small_multiply<S>(factor<S>(before), u.middle_rows(0, first), e.middle_rows(first, count),
                        {true, this->query_weights + first, 1});
      for_each_lanes<S>(columns, [&](Index c, auto lanes) {
        std::array<Simd<S>, static_cast<std::size_t>(block)> own;
        for (Index i = 0; i < count; ++i) {
          const Index row = first + i;
          const Simd<S> wanted = values.data == nullptr ? Simd<S>(S{0}) : lanes.load(values.row(row) + c);
          Simd<S> error = wanted - lanes.load(e.row(row) + c);
          for (Index j = 0; j < i; ++j) {
            error = fma(Simd<S>(-products(row, first + j)), own[static_cast<std::size_t>(j)], error);
          }
          own[static_cast<std::size_t>(i)] = Simd<S>(beta[row]) * error;
          lanes.store(e.row(row) + c, error);
          lanes.store(u.row(row) + c, own[static_cast<std::size_t>(i)]);
        }
      });
    }
  }
};

/// Attention by the delta rule; decays are NoDecay or a number per token. beta [batch, time, heads].
template <Scalar S, class Decay>
struct DeltaAttention : DecayAttention<S, Decay> {
  static_assert(!Decay::per_channel && !Decay::stabilised);
  using Base = DecayAttention<S, Decay>;
  using Tiles = DeltaTiles<S>;
  using Run = DeltaRun<S>;
  using Band = DeltaBand<S, !std::is_same_v<Decay, NoDecay<S>>>;
  using Monoid = DeltaAction<S>;
  using Element = typename Monoid::Element;

  SequenceView<const S> beta;
  SequenceView<S> dbeta;     ///< of a backward pass
  bool unit_length = false;  ///< queries and keys are divided by sqrt(|x|^2 + 1e-6) first

  [[nodiscard]] Monoid monoid() const noexcept { return {{this->sizes.key_dim, this->sizes.value_dim}}; }
  [[nodiscard]] Index element_size() const noexcept {
    return this->sizes.key_dim * (this->sizes.key_dim + this->sizes.value_dim);
  }
  [[nodiscard]] Element element_at(S* data) const noexcept {
    return {data, data + this->sizes.key_dim * this->sizes.key_dim};
  }
  [[nodiscard]] Index tile_size(Index chunk) const noexcept { return Tiles::size(chunk, this->sizes); }
  [[nodiscard]] Tiles tiles(S* memory, Index chunk) const noexcept { return Tiles(memory, chunk, this->sizes); }

  /// What a query or key is divided by.
  [[nodiscard]] S length_of(const S* x) const noexcept {
    return unit_length ? std::sqrt(dot(x, x, this->sizes.key_dim) + S(1e-6)) : S{1};
  }

  void prepare(Index b, Index h, TokenRange tokens, Tiles& tiles) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      const S* query = this->query(b, h, tokens.begin + t);
      this->load(query, this->scale / length_of(query), tiles.queries.row(t));
    }
    correct<true>(b, h, tokens, tiles);
  }
  void decay_keys(Index b, Index h, TokenRange tokens, Tiles& tiles) const noexcept {
    correct<false>(b, h, tokens, tiles);
  }

  [[nodiscard]] MatrixView<const S> written(Index b, Index h, TokenRange tokens, Tiles& tiles,
                                            const DecayState<S>& state) const noexcept {
    const Index values = this->sizes.value_dim;
    tiles.solve(tokens.size(), {state.matrix, this->sizes.key_dim, values}, this->values(b, h, tokens));
    return tiles.rows.middle_rows(0, tokens.size()).middle_cols(0, values);
  }

  /// U moves on as a state does, A as one whose values are zero.
  void append(Index b, Index h, TokenRange tokens, Tiles& tiles, const Element& element) const noexcept {
    const Index n = tokens.size(), keys = this->sizes.key_dim, values = this->sizes.value_dim;
    this->weigh(b, h, tokens, {}, tiles);
    decay_keys(b, h, tokens, tiles);
    const MatrixView<const S> decayed = MatrixView<const S>(tiles.decayed_keys).middle_cols(0, n);
    const auto move = [&](S* matrix, Index columns, MatrixView<const S> wanted) {
      const MatrixView<S> state(matrix, keys, columns);
      tiles.solve(n, state, wanted);
      small_multiply<S>(factor<S>(decayed), tiles.rows.middle_rows(0, n).middle_cols(0, columns), state,
                        {true, tiles.state_decay, 0});
    };
    move(element.U, values, this->values(b, h, tokens));
    move(element.A, keys, {});
  }

  /// Tokens of a run; the memory of what its columns share, and of a band of columns.
  [[nodiscard]] Index run_tokens() const noexcept {
    return solve_state_run(2 * this->sizes.key_dim * static_cast<Index>(sizeof(S)));
  }
  [[nodiscard]] Index shared_size(Index tokens) const noexcept { return Run::size(tokens, this->sizes.key_dim); }
  [[nodiscard]] Run shared_at(S* memory, Index tokens) const noexcept {
    return Run(memory, tokens, this->sizes.key_dim);
  }
  [[nodiscard]] Index band_size(Index) const noexcept { return Band::size(this->sizes.key_dim); }
  static constexpr Index narrowest_band = Band::columns;
  static constexpr bool splits_tokens = false;
  [[nodiscard]] Index shortest_run() const noexcept {
    return solve_shortest_pairs(this->sizes.key_dim, this->sizes.value_dim, simd_width<S>);
  }
  [[nodiscard]] Index run_size(Index tokens) const noexcept {
    return std::max(shared_size(tokens) + band_size(tokens), tile_size(1));
  }

  void weigh_run(Index b, Index h, TokenRange tokens, S, const Run& run) const noexcept {
    DecayWeights<S> weights;
    weights.decay = run.decays;
    this->policy.weigh(b, h, tokens, S{0}, weights);
  }
  template <bool Grouped>
  void gather_run(Index b, Index h, TokenRange tokens, const Run& run) const noexcept {
    static_assert(Grouped, "token after token, `run` does without");
    for (Index block = 0; block < Run::blocks(tokens.size()); ++block) {
      const Index first = tokens.begin + block * Run::block;
      run.gather(
          block, std::min(Run::block, tokens.end - first), this->scale, unit_length,
          [&](Index i) { return this->key(b, h, first + i); }, [&](Index i) { return this->query(b, h, first + i); },
          [&](Index i) { return beta.token(b, first + i)[h]; });
    }
  }
  template <bool Grouped>
  void pass_columns(Index b, Index h, TokenRange tokens, const Run& run, ColumnRange columns, S* scratch,
                    const DecayState<S>& state, MatrixView<S> y, RowsAhead<S>& ahead) const noexcept {
    ahead.spread((columns.size() + Band::columns - 1) / Band::columns * Run::pairs(tokens.size()));
    for (Index first = columns.begin; first < columns.end; first += Band::columns) {
      const Band band{run,
                      ahead,
                      std::min(Band::columns, columns.end - first),
                      scratch,
                      state.matrix + first,
                      this->sizes.value_dim,
                      this->v.time_stride,
                      y.stride};
      band.pass(tokens.size(), this->value(b, h, tokens.begin) + first, y.row(0) + first);
    }
  }

  /// A whole run, in pairs or token after token.
  template <bool Grouped>
  void run(Index b, Index h, TokenRange tokens, S* scratch, const DecayState<S>& state, MatrixView<S> y,
           RowsAhead<S>& ahead) const noexcept {
    if constexpr (Grouped) {
      detail::pass_run<true>(*this, b, h, tokens, scratch, state, y, ahead);
    } else {
      ahead.spread(tokens.size());
      Tiles own = tiles(scratch, 1);
      for (Index t = 0; t < tokens.size(); ++t) {
        ahead.ask();
        token(b, h, tokens.begin + t, own, state, y.row(t));
      }
    }
  }

  /// One token: what the state answers, then the state moves on and is read in one pass.
  void token(Index b, Index h, Index t, Tiles& tiles, const DecayState<S>& state, S* y) const noexcept {
    const Index keys = this->sizes.key_dim, values = this->sizes.value_dim;
    const S *query = this->query(b, h, t), *key = this->key(b, h, t), *wanted = this->value(b, h, t);
    this->weigh(b, h, {t, t + 1}, state, tiles);
    this->load(query, this->scale / length_of(query), tiles.queries.data);
    this->load(key, S{1} / length_of(key), tiles.keys.data);
    small_multiply<S>(factor<S>(tiles.keys.middle_rows(0, 1)), {state.matrix, keys, values},
                      {tiles.rows.data, 1, values});
    const S decay = *tiles.weights.decay, rate = beta.token(b, t)[h];
    for_each_lanes<S>(values, [&](Index c, auto lanes) {
      const Simd<S> error = fma(Simd<S>(-decay), lanes.load(tiles.rows.data + c), lanes.load(wanted + c));
      lanes.store(tiles.rows.data + c, Simd<S>(rate) * error);
    });
    detail::advance_state<false>(tiles.weights.decay, tiles.queries.data, tiles.keys.data, tiles.rows.data, keys,
                                 values, state.matrix, y);
  }

 private:
  template <bool Reads>
  void correct(Index b, Index h, TokenRange tokens, Tiles& tiles) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      const S* key = this->key(b, h, tokens.begin + t);
      this->load(key, S{1} / length_of(key), tiles.keys.row(t));
      tiles.beta[t] = beta.token(b, tokens.begin + t)[h];
    }
    tiles.template score<Decay, Reads>(tokens.size());
    tiles.multiply_keys(tokens.size());
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
