#pragma once

#include <cmath>
#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/decay_attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// S [batch, heads, key_dim, value_dim] and the scratch of one step.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim>
struct MatrixState {
  Tensor<S, Dynamic, Heads, KeyDim, ValueDim> matrix;
  Scratch<S> scratch;
  static constexpr auto fields() { return std::tuple{Field{"S", &MatrixState::matrix}}; }

  MatrixState() = default;
  MatrixState(Index batch, const DecaySizes& sizes, Index scratch_size)
      : matrix(batch, sizes.heads, sizes.key_dim, sizes.value_dim), scratch(scratch_size) {}
  [[nodiscard]] DecayState<S> view() noexcept { return {matrix.data()}; }
};

/// S and the sum of keys z [batch, heads, key_dim].
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim>
struct NormalisedState {
  Tensor<S, Dynamic, Heads, KeyDim, ValueDim> matrix;
  Tensor<S, Dynamic, Heads, KeyDim> normaliser;
  Scratch<S> scratch;
  static constexpr auto fields() {
    return std::tuple{Field{"S", &NormalisedState::matrix}, Field{"z", &NormalisedState::normaliser}};
  }

  NormalisedState() = default;
  NormalisedState(Index batch, const DecaySizes& sizes, Index scratch_size)
      : matrix(batch, sizes.heads, sizes.key_dim, sizes.value_dim),
        normaliser(batch, sizes.heads, sizes.key_dim),
        scratch(scratch_size) {}
  [[nodiscard]] DecayState<S> view() noexcept { return {matrix.data(), normaliser.data()}; }
};

namespace detail {

/// How many gates each head has: none, a fixed number, or one per key channel.
enum class HeadGates { none, one, two, per_channel };

constexpr Index gates_per_head(HeadGates gates, Index key_dim) {
  switch (gates) {
    case HeadGates::none:
      return 0;
    case HeadGates::one:
      return 1;
    case HeadGates::two:
      return 2;
    default:
      return key_dim;
  }
}

/// Features of x = [q | k | v | gates].
constexpr Index decay_inputs(HeadGates gates, Index heads, Index key_dim, Index value_dim) {
  const Index own = static_sum(static_sum(static_product(2, key_dim), value_dim), gates_per_head(gates, key_dim));
  return static_product(heads, own);
}

}  // namespace detail

/// What layers share that read a decaying state with inputs that somebody projected. x is the concatenation
///   x = [q | k | v | gates],  q and k [Heads * KeyDim], v [Heads * ValueDim], gates as the layer says,
/// head after head inside each part; y [Heads * ValueDim]. Nothing is learned. Self provides
///   attention(x)        the operator on the parts of x
///   attention(x, dx)    the same with the places of the gates' cotangents, for the backward pass
template <class Self, Scalar S, Index Heads, Index KeyDim, Index ValueDim, detail::HeadGates Gates, class StateType,
          class Default>
class DecayLayer
    : public Layer<Self, S, detail::decay_inputs(Gates, Heads, KeyDim, ValueDim), static_product(Heads, ValueDim)> {
 public:
  static constexpr bool scans_decaying_state = true;
  static constexpr Index Inputs = detail::decay_inputs(Gates, Heads, KeyDim, ValueDim);
  static constexpr Index Outputs = static_product(Heads, ValueDim);
  using State = StateType;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;

  S scale{1};  ///< multiplies the queries; key_dim^-0.5 unless set

  static constexpr auto fields() { return std::tuple<>{}; }
  void initialize(Random&) noexcept {}

  [[nodiscard]] Index heads() const noexcept { return heads_; }
  [[nodiscard]] Index key_dim() const noexcept { return key_dim_; }
  [[nodiscard]] Index value_dim() const noexcept { return value_dim_; }
  [[nodiscard]] DecaySizes sizes() const noexcept { return {heads_, key_dim_, value_dim_}; }
  [[nodiscard]] Index input_size() const noexcept { return detail::decay_inputs(Gates, heads_, key_dim_, value_dim_); }
  [[nodiscard]] Index output_size() const noexcept { return heads_ * value_dim_; }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    const auto op = self().attention(SequenceView<const S>());
    return State(batch, sizes(), op.tile_size(1));
  }

  /// The parts of x, or of its cotangent: sub-views, nothing is copied.
  template <class T>
  [[nodiscard]] SequenceView<T> queries(const SequenceView<T>& x) const noexcept {
    return x.middle_features(0, Extent<Dynamic>(heads_ * key_dim_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> keys(const SequenceView<T>& x) const noexcept {
    return x.middle_features(heads_ * key_dim_, Extent<Dynamic>(heads_ * key_dim_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> values(const SequenceView<T>& x) const noexcept {
    return x.middle_features(2 * heads_ * key_dim_, Extent<Dynamic>(heads_ * value_dim_));
  }
  /// The `number`-th gate of all heads; all channels of all heads where gates are per channel.
  template <class T>
  [[nodiscard]] SequenceView<T> gates(const SequenceView<T>& x, Index number = 0) const noexcept {
    const Index count = Gates == detail::HeadGates::per_channel ? heads_ * key_dim_ : Index{heads_};
    return x.middle_features(heads_ * (2 * key_dim_ + value_dim_) + number * count, Extent<Dynamic>(count));
  }

 protected:
  DecayLayer() : DecayLayer(std::max<Index>(Heads, 0), std::max<Index>(KeyDim, 0), std::max<Index>(ValueDim, 0)) {}
  /// Throws ShapeError when a size differs from a static one.
  DecayLayer(Index heads, Index key_dim, Index value_dim)
      : scale(key_dim > 0 ? static_cast<S>(1 / std::sqrt(static_cast<double>(key_dim))) : S{1}),
        heads_(heads),
        key_dim_(key_dim),
        value_dim_(value_dim) {}

  /// An operator on the parts of x.
  template <class Attention, class Policy>
  [[nodiscard]] Attention on_parts(const SequenceView<const S>& x, const Policy& policy, S eps = 0) const noexcept {
    return {sizes(), scale, eps, policy, queries(x), keys(x), values(x)};
  }

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    decay_attention_step(self().attention(one_token(x)), state.view(), SequenceView<S>(one_token(y)),
                         state.scratch.data());
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    decay_attention_scan(self().attention(x), state.view(), SequenceView<S>(y), detail::schedule_of(form),
                         std::same_as<Form, Recurrent>, workspace);
  }

  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<KeyDim> key_dim_;
  [[no_unique_address]] Extent<ValueDim> value_dim_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
