#pragma once

#include <cmath>
#include <cstdint>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/attention_step.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The keys and values that queries still see: k [batch, capacity, kv_heads, key_dim], v [batch, capacity, kv_heads,
/// value_dim], and how many tokens came in, length [batch]. The first `sinks` tokens stay where they are;
/// behind them lies a ring of the latest ones: token p stands in row p, or sinks + (p - sinks) mod (capacity - sinks).
template <Scalar S, Index KvHeads, Index KeyDim, Index ValueDim>
struct KeyValueCache {
  Tensor<S, Dynamic, Dynamic, KvHeads, KeyDim> keys;
  Tensor<S, Dynamic, Dynamic, KvHeads, ValueDim> values;
  Tensor<std::int64_t, Dynamic> length;
  Scratch<S> scratch;  ///< of one step
  static constexpr auto fields() {
    return std::tuple{Field{"k", &KeyValueCache::keys}, Field{"v", &KeyValueCache::values},
                      Field{"length", &KeyValueCache::length}};
  }

  KeyValueCache() = default;
  KeyValueCache(Index batch, Index capacity, const AttentionSizes& n)
      : keys(batch, capacity, n.kv_heads, n.key_dim),
        values(batch, capacity, n.kv_heads, n.value_dim),
        length(batch),
        scratch(detail::attention_step_size(n)) {}

  [[nodiscard]] Index capacity() const noexcept { return keys.extent(1); }
  [[nodiscard]] static Index row_of(Index token, Index sinks, Index capacity) noexcept {
    return token < sinks ? token : sinks + (token - sinks) % (capacity - sinks);
  }
  /// Tokens that are kept of a batch member.
  [[nodiscard]] Index kept(Index b) const noexcept { return std::min(static_cast<Index>(length[b]), capacity()); }
  /// The row of the i-th of them, in the order of time.
  [[nodiscard]] Index kept_row(Index b, Index i, Index sinks) const noexcept {
    const Index seen = static_cast<Index>(length[b]);
    return i < sinks || seen <= capacity() ? i : row_of(i + seen - capacity(), sinks, capacity());
  }

  [[nodiscard]] S* key(Index b, Index row) noexcept { return row_in(keys, b, row); }
  [[nodiscard]] S* value(Index b, Index row) noexcept { return row_in(values, b, row); }
  [[nodiscard]] const S* key(Index b, Index row) const noexcept { return row_in(keys, b, row); }
  [[nodiscard]] const S* value(Index b, Index row) const noexcept { return row_in(values, b, row); }
  [[nodiscard]] Index key_size() const noexcept { return keys.extent(2) * keys.extent(3); }
  [[nodiscard]] Index value_size() const noexcept { return values.extent(2) * values.extent(3); }

  /// How far rows lie behind the last token that came in.
  [[nodiscard]] KeyRuns runs(Index b, Index sinks) const noexcept {
    const Index last = static_cast<Index>(length[b]) - 1, row = row_of(last, sinks, capacity());
    return {{{sinks, last}, {row + 1, row}, {capacity(), row + capacity() - sinks}}};
  }

  /// Keeps one token, in the place of one that is no longer seen.
  void append(Index b, Index sinks, const S* new_key, const S* new_value) noexcept {
    const Index row = row_of(static_cast<Index>(length[b]), sinks, capacity());
    std::copy_n(new_key, key_size(), key(b, row));
    std::copy_n(new_value, value_size(), value(b, row));
    ++length[b];
  }

 private:
  template <class T>
  static auto row_in(T& tensor, Index b, Index row) noexcept {
    return tensor.data() + (b * tensor.extent(1) + row) * tensor.extent(2) * tensor.extent(3);
  }
};

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
/// Self provides fold() (ops/attention_fold.hpp), and may provide attention_start() (AttentionStart) with
/// start_cotangents(), and attention_slopes() (ops/distance_bias.hpp).
template <class Self, Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim, class Default>
class AttentionLayer : public Layer<Self, S, detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim),
                                    static_product(Heads, ValueDim)> {
  static_assert(Heads == Dynamic || KvHeads == Dynamic || (KvHeads > 0 && Heads % KvHeads == 0),
                "stepscan: the heads of an attention are no multiple of its key/value heads");

 public:
  static constexpr bool attends_to_cache = true;
  static constexpr Index receptive_field = Dynamic;
  static constexpr Index Inputs = detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim);
  static constexpr Index Outputs = static_product(Heads, ValueDim);
  using State = KeyValueCache<S, KvHeads, KeyDim, ValueDim>;
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
  /// ArgumentError when that is less than the state's own, or when logits depend on the distance of sinks and tokens
  /// between them and the others are gone.
  [[nodiscard]] State reserve(const State& state, Index capacity) const {
    if (capacity < state.capacity()) {
      fail<ArgumentError>(std::string(Self::name) + ": expected to reserve at least " +
                          std::to_string(state.capacity()) + " tokens, found " + std::to_string(capacity));
    }
    State larger(state.length.size(), capacity, sizes());
    for (Index b = 0; b < state.length.size(); ++b) {
      if (distance().slopes != nullptr && sinks_ > 0 && state.length[b] > state.capacity()) {
        fail<ArgumentError>(std::string(Self::name) + ": expected a state with all its tokens, found " +
                            std::to_string(state.capacity()) + " of " + std::to_string(state.length[b]));
      }
      for (Index i = 0; i < state.kept(b); ++i) {
        const Index from = state.kept_row(b, i, sinks_);
        larger.append(b, sinks_, state.key(b, from), state.value(b, from));
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

  /// Kept and new keys one behind the other, in the workspace unless nothing is kept, and the queries' places among
  /// them.
  [[nodiscard]] AttentionInputs<S> gathered(const State& state, const SequenceView<const S>& x,
                                            Workspace& workspace) const {
    AttentionInputs<S> in{sizes(), scale, queries(x), {}, {}, start()};
    Index* const lengths = workspace.template take<Index>(x.batch);
    Index* const positions = workspace.template take<Index>(x.batch);
    Index* const gaps = workspace.template take<Index>(x.batch);
    Index most = 0;
    for (Index b = 0; b < x.batch; ++b) {
      positions[b] = state.kept(b);
      gaps[b] = static_cast<Index>(state.length[b]) - positions[b];
      lengths[b] = positions[b] + x.length(b);
      most = std::max(most, lengths[b]);
    }
    in.positions = positions;
    in.distance = distance();
    in.distance.gaps = gaps;
    if (std::all_of(positions, positions + x.batch, [](Index kept) { return kept == 0; })) {
      in.k = keys(x);
      in.v = values(x);
      return in;
    }
    const auto join = [&](const SequenceView<const S>& added, auto&& row) {
      const Index size = added.features;
      SequenceView<S> all(workspace.template take<S>(x.batch * most * size), x.batch, most, size);
      for (Index b = 0; b < x.batch; ++b) {
        for (Index i = 0; i < positions[b]; ++i)
          std::copy_n(row(b, state.kept_row(b, i, sinks_)), size, all.token(b, i));
        for (Index t = 0; t < x.length(b); ++t) std::copy_n(added.token(b, t), size, all.token(b, positions[b] + t));
      }
      all.lengths = lengths;
      return all;
    };
    in.k = join(keys(x), [&](Index b, Index row) { return state.key(b, row); });
    in.v = join(values(x), [&](Index b, Index row) { return state.value(b, row); });
    return in;
  }
  /// What queries see of gathered keys.
  [[nodiscard]] detail::CachePattern pattern(const State& state) const noexcept {
    using namespace patterns;
    return detail::CachePattern(Causal(), Or(Window<>(state.capacity() - sinks_), Sinks<>(sinks_)));
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

  void advance(State& state, Index b, const S* token, S* y, S* scratch) const noexcept {
    append(state, b, token);
    AttentionInputs<S> in{sizes(), scale, {}, {}, {}, start()};
    in.distance = distance();
    in.distance.runs = state.runs(b, sinks_);
    attention_step(self().fold(), in, token, state.key(b, 0), state.value(b, 0), state.kept(b), y, scratch);
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
