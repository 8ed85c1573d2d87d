#pragma once

#include <cmath>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/key_value_cache.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/pattern_step.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Features of x = [q | k | v].
constexpr Index attention_inputs(Index heads, Index kv_heads, Index key_dim, Index value_dim) {
  return static_sum(static_product(heads, key_dim), static_product(kv_heads, static_sum(key_dim, value_dim)));
}

/// How a layer that keeps its keys sees them: the latest and the first.
using CachePattern = patterns::And<patterns::Causal, patterns::Or<patterns::Window<>, patterns::Sinks<>>>;

}  // namespace detail

/// What layers share that attend to the tokens so far. x is the concatenation
///   x = [q | k | v],  q [Heads * KeyDim], k [KvHeads * KeyDim], v [KvHeads * ValueDim],
/// head after head inside each part; y [Heads * ValueDim]; query head h reads key/value head h div (Heads / KvHeads).
///
/// Keys and values are kept in a cache of fixed capacity (KeyValueCache), which is the layer's memory: a token is seen
/// until capacity - sinks newer ones have come, the first `sinks` tokens always (StreamingLLM, arXiv 2309.17453). So
/// attention is over a window of that size and never fails; for attention to everything choose a capacity that no
/// sequence exceeds, or let `reserve` make room between two calls. Every form computes the same function, whatever lies
/// in the cache before.
///
/// Keys and values are kept as `Stored`: S, or Half or BFloat16 where S is float, for steps that read half the bytes.
/// Attention is then to the rounded ones in every form and at every token, the latest too (relative rounding 2^-12 and
/// 2^-9; arithmetic stays in float). Such a layer is not trained; its parameters are named as those of one that is.
///
/// Self provides fold() (ops/attention_fold.hpp), and may provide attention_start() (AttentionStart) with
/// start_cotangents(), attention_slopes() (ops/distance_bias.hpp), and key_pattern, a KeyPattern over all tokens of
/// which only what is kept is seen.
template <class Self, Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, class Default,
          StoredFor<S> Stored = S>
class AttentionLayer : public Layer<Self, S, detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim),
                                    static_product(Heads, ValueDim)> {
  static_assert(Heads == Dynamic || KvHeads == Dynamic || (KvHeads > 0 && Heads % KvHeads == 0),
                "stepscan: the heads of an attention are no multiple of its key/value heads");

 public:
  static constexpr bool attends_to_cache = true;
  static constexpr Index receptive_field = Dynamic;
  static constexpr Index Inputs = detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim);
  static constexpr Index Outputs = static_product(Heads, ValueDim);
  using stored_type = Stored;
  using State = KeyValueCache<S, KvHeads, KeyDim, ValueDim, Stored>;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  /// Long blocks: every one packs all that is kept.
  template <class Form>
  static constexpr Index block_tokens = std::same_as<Form, Recurrent> ? detail::usual_block : 8 * detail::usual_block;

  S scale{1};  ///< multiplies q.k; key_dim^-0.5 unless set

  static constexpr auto fields() { return std::tuple<>{}; }
  void initialize(Random&) noexcept {}

  [[nodiscard]] AttentionSizes sizes() const noexcept { return {heads_, kv_heads_, key_dim_, value_dim_}; }
  [[nodiscard]] Index capacity() const noexcept { return capacity_; }
  [[nodiscard]] Index sinks() const noexcept { return sinks_; }
  [[nodiscard]] Index input_size() const noexcept {
    return detail::attention_inputs(heads_, kv_heads_, key_dim_, value_dim_);
  }
  [[nodiscard]] Index output_size() const noexcept { return heads_ * value_dim_; }

  /// An empty cache.
  [[nodiscard]] State initial_state(Index batch) const { return State(batch, capacity_, sizes()); }

  /// A state that keeps `capacity` tokens and holds what the given one holds, its length counting from there. Throws
  /// ArgumentError when that is less than the state's own, or tokens are gone and a pattern counts them, or logits
  /// depend on how far the sinks are.
  [[nodiscard]] State reserve(const State& state, Index capacity) const {
    if (capacity < state.capacity()) {
      fail<ArgumentError>(std::string(Self::name) + ": expected to reserve at least " +
                          std::to_string(state.capacity()) + " tokens, found " + std::to_string(capacity));
    }
    State larger(state.length.size(), capacity, sizes());
    for (Index b = 0; b < state.length.size(); ++b) {
      const KeptTokens kept = state.kept(b, sinks_);
      if (kept.gone() > 0 && (has_key_pattern() || (distance().slopes != nullptr && sinks_ > 0))) {
        fail<ArgumentError>(std::string(Self::name) + ": expected a state with all its tokens, found " +
                            std::to_string(kept.count()) + " of " + std::to_string(kept.seen));
      }
      for (Index i = 0; i < kept.count(); ++i) {
        larger.append(b, sinks_, state.key(b, kept.row(i)), state.value(b, kept.row(i)));
      }
    }
    return larger;
  }

  /// The parts of x, or of its cotangent: sub-views, nothing is copied.
  template <class T>
  [[nodiscard]] SequenceView<T> queries(const SequenceView<T>& x) const noexcept {
    return x.middle_features(0, Extent<Dynamic>(heads_ * key_dim_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> keys(const SequenceView<T>& x) const noexcept {
    return x.middle_features(heads_ * key_dim_, Extent<Dynamic>(kv_heads_ * key_dim_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> values(const SequenceView<T>& x) const noexcept {
    return x.middle_features((heads_ + kv_heads_) * key_dim_, Extent<Dynamic>(kv_heads_ * value_dim_));
  }

  /// Kept and new keys one behind the other, as they are kept, and the queries' places among them: in the workspace
  /// unless nothing is kept and nothing rounded.
  [[nodiscard]] AttentionInputs<S> gathered(const State& state, const SequenceView<const S>& x,
                                            Workspace& workspace) const {
    AttentionInputs<S> in{sizes(), scale, queries(x), {}, {}, start()};
    Index* const lengths = workspace.template take<Index>(x.batch);
    Index* const positions = workspace.template take<Index>(x.batch);
    Index* const gaps = workspace.template take<Index>(x.batch);
    Index most = 0;
    for (Index b = 0; b < x.batch; ++b) {
      const KeptTokens kept = state.kept(b, sinks_);
      positions[b] = kept.count();
      gaps[b] = kept.gone();
      lengths[b] = positions[b] + x.length(b);
      most = std::max(most, lengths[b]);
    }
    in.positions = positions;
    in.distance = distance();
    in.distance.gaps = gaps;
    const bool none = std::all_of(positions, positions + x.batch, [](Index kept) { return kept == 0; });
    if (none && std::same_as<S, Stored>) {
      in.k = keys(x);
      in.v = values(x);
      return in;
    }
    const auto join = [&](const SequenceView<const S>& added, auto&& row) {
      const Index size = added.features;
      SequenceView<S> all(workspace.template take<S>(x.batch * most * size), x.batch, most, size);
      for (Index b = 0; b < x.batch; ++b) {
        const KeptTokens kept = state.kept(b, sinks_);
        for (Index i = 0; i < positions[b]; ++i) convert_row(row(b, kept.row(i)), size, all.token(b, i));
        for (Index t = 0; t < x.length(b); ++t) {
          S* const to = all.token(b, positions[b] + t);
          for (Index i = 0; i < size; ++i) to[i] = static_cast<S>(static_cast<Stored>(added.token(b, t)[i]));
        }
      }
      all.lengths = lengths;
      return all;
    };
    in.k = join(keys(x), [&](Index b, Index row) { return state.key(b, row); });
    in.v = join(values(x), [&](Index b, Index row) { return state.value(b, row); });
    return in;
  }
  /// What queries see of gathered keys; it looks at the state's length.
  [[nodiscard]] auto pattern(const State& state) const noexcept {
    using namespace patterns;
    const detail::CachePattern kept(Causal(), Or(Window<>(state.capacity() - sinks_), Sinks<>(sinks_)));
    if constexpr (has_key_pattern()) {
      using Pattern = std::remove_cvref_t<decltype(self().key_pattern)>;
      return And(kept, OfKept<Pattern>{self().key_pattern, state.length.data(), state.capacity(), sinks_});
    } else {
      return kept;
    }
  }

  /// A scan that keeps the rows for a backward pass, if asked to.
  template <class Form>
  void attend(const Form& form, State& state, const SequenceView<const S>& x, const SequenceView<S>& y,
              Workspace& workspace, const AttentionRows<S>& kept = {}) const {
    const Workspace::Scope scope(workspace);
    const AttentionInputs<S> in = gathered(state, x, workspace);
    attention_scan(self().fold(), pattern(state), in, y, detail::schedule_of(form), workspace, kept);
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) append(state, b, x.token(b, t));
    }
  }

 protected:
  AttentionLayer() = default;
  /// Throws ShapeError when kv_heads does not divide heads, the capacity is not above the sinks, or a size differs from
  /// a static one.
  AttentionLayer(const AttentionSizes& n, Index capacity, Index sinks)
      : scale(n.key_dim > 0 ? static_cast<S>(1 / std::sqrt(static_cast<double>(n.key_dim))) : S{1}),
        heads_(n.heads),
        kv_heads_(n.kv_heads),
        key_dim_(n.key_dim),
        value_dim_(n.value_dim),
        capacity_(capacity),
        sinks_(sinks) {
    if (n.kv_heads < 1 || n.heads % n.kv_heads != 0) {
      fail<ShapeError>(std::string(Self::name) + ": expected heads that are a multiple of kv_heads, found " +
                       std::to_string(n.heads) + " and " + std::to_string(n.kv_heads));
    }
    if (sinks < 0 || capacity <= sinks) {
      fail<ShapeError>(std::string(Self::name) + ": expected a capacity above the sinks, found " +
                       std::to_string(capacity) + " and " + std::to_string(sinks));
    }
  }

  [[nodiscard]] AttentionStart<S> start() const noexcept {
    if constexpr (requires { self().attention_start(); }) {
      return self().attention_start();
    } else {
      return {};
    }
  }
  [[nodiscard]] DistanceBias<S> distance() const noexcept {
    if constexpr (requires { self().attention_slopes(); }) {
      return {self().attention_slopes(), sinks_};
    } else {
      return {};
    }
  }

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void append(State& state, Index b, const S* token) const noexcept {
    const S* const key = token + heads_ * key_dim_;
    state.append(b, sinks_, key, key + kv_heads_ * key_dim_);
  }

  [[nodiscard]] static constexpr bool has_key_pattern() noexcept {
    return requires(const Self& layer) { layer.key_pattern; };
  }

  void advance(State& state, Index b, const S* token, S* y, S* scratch) const noexcept {
    append(state, b, token);
    AttentionInputs<S> in{sizes(), scale, {}, {}, {}, start()};
    in.distance = distance();
    in.distance.runs = state.runs(b, sinks_);
    const KeptTokens kept = state.kept(b, sinks_);
    if constexpr (has_key_pattern()) {
      pattern_step(self().fold(), self().key_pattern, kept, b, in, token, state.key(b, 0), state.value(b, 0), y,
                   scratch);
    } else {
      attention_step(self().fold(), in, token, state.key(b, 0), state.value(b, 0), kept.count(), y, scratch);
    }
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    for (Index b = 0; b < x.rows; ++b) advance(state, b, x.row(b), y.row(b), state.scratch.data());
  }

  void run_scan(Recurrent, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace&) const {
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) {
        advance(state, b, x.token(b, t), y.token(b, t), state.scratch.data());
      }
    }
    clear_padding(x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    attend(form, state, SequenceView<const S>(x), SequenceView<S>(y), workspace);
  }

  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<KvHeads> kv_heads_;
  [[no_unique_address]] Extent<KeyDim> key_dim_;
  [[no_unique_address]] Extent<ValueDim> value_dim_;
  Index capacity_ = 1;
  Index sinks_ = 0;
};

}  // namespace stepscan::inline STEPSCAN_ISA
