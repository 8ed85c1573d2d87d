#pragma once

#include <cstdint>
#include <stepscan/layers/layer.hpp>
#include <stepscan/ops/rotary.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How many tokens came in, position [batch], and the angles of one.
template <Scalar S>
struct RotaryState {
  Tensor<std::int64_t, Dynamic> position;
  Scratch<S> angles;
  static constexpr auto fields() { return std::tuple{Field{"position", &RotaryState::position}}; }
};

/// Rotary positions (RoFormer, arXiv 2104.09864; ops/rotary.hpp) of the first Heads heads of a token's features; the
/// Passed features behind them go through. Between a projection to [q | k | v] and an attention it turns queries and
/// keys: RotaryEmbedding<float, Heads + KvHeads, KeyDim, KvHeads * ValueDim>. x, y [batch, time, Heads * HeadDim +
/// Passed]. A token's position is the number of tokens before it, those of earlier calls included. No parameters; runs
/// in any form.
template <Scalar S, Index Heads, Index HeadDim, Index Passed = 0>
class RotaryEmbedding
    : public Layer<RotaryEmbedding<S, Heads, HeadDim, Passed>, S, static_sum(static_product(Heads, HeadDim), Passed),
                   static_sum(static_product(Heads, HeadDim), Passed)> {
  static constexpr Index Features = static_sum(static_product(Heads, HeadDim), Passed);
  static_assert(HeadDim == Dynamic || HeadDim % 2 == 0,
                "stepscan: rotary positions turn pairs of features, but HeadDim is odd");

 public:
  static constexpr const char* name = "RotaryEmbedding";
  using State = RotaryState<S>;
  using Forms = std::tuple<Recurrent>;
  using DefaultForm = Recurrent;
  static constexpr bool any_form = true;
  static constexpr Index receptive_field = 1;

  /// theta_i / pi; may be set to another schedule (NTK-aware bases, YaRN, Llama 3).
  Tensor<double, Dynamic> half_turns_per_token;

  static constexpr auto fields() { return std::tuple<>{}; }
  void initialize(Random&) noexcept {}

  RotaryEmbedding() requires(Features != Dynamic) : RotaryEmbedding(Heads, HeadDim, Passed) {}
  /// Throws ShapeError when the features to be turned are an odd number or more than a head has, or a size differs from
  /// a static one.
  RotaryEmbedding(Index heads, Index head_dim, Index passed = 0, const RotarySettings& settings = {})
      : heads_(heads),
        head_dim_(head_dim),
        passed_(passed),
        dim_(settings.dim == 0 ? head_dim : settings.dim),
        pairs_(settings.pairs) {
    if (dim_ < 0 || dim_ > head_dim || dim_ % 2 != 0) {
      fail<ShapeError>(std::string(name) + ": expected to turn an even number of a head's " + std::to_string(head_dim) +
                       " features, found " + std::to_string(dim_));
    }
    half_turns_per_token = Tensor<double, Dynamic>(dim_ / 2);
    for (Index i = 0; i < dim_ / 2; ++i) half_turns_per_token[i] = rotary_half_turns(settings, i, dim_);
  }

  [[nodiscard]] Index input_size() const noexcept { return heads_ * head_dim_ + passed_; }
  [[nodiscard]] Index output_size() const noexcept { return input_size(); }
  [[nodiscard]] RotaryHeads heads() const noexcept { return {heads_, head_dim_, dim_, pairs_}; }

  /// At position 0.
  [[nodiscard]] State initial_state(Index batch) const {
    return {Tensor<std::int64_t, Dynamic>(batch), Scratch<S>(dim_)};
  }

 private:
  friend Layer<RotaryEmbedding, S, Features, Features>;

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    S *const cosines = state.angles.data(), *const sines = cosines + dim_ / 2;
    const Index turned = heads_ * head_dim_;
    for (Index b = 0; b < x.rows; ++b) {
      rotary_angles(half_turns_per_token.data(), dim_ / 2, static_cast<double>(state.position[b]++), cosines, sines);
      rotate_heads(heads(), cosines, sines, x.row(b), y.row(b));
      std::copy_n(x.row(b) + turned, Index{passed_}, y.row(b) + turned);
    }
  }

  template <class Form>
  void run_scan(const Form&, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace& workspace) const {
    rotate_tokens<S>(heads(), half_turns_per_token.data(), state.position.data(), false, x, y, workspace);
    for (Index b = 0; b < x.batch; ++b) state.position[b] += x.length(b);
  }

  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<HeadDim> head_dim_;
  [[no_unique_address]] Extent<Passed> passed_;
  Index dim_ = 0;
  RotaryPairs pairs_ = RotaryPairs::halves;
};

}  // namespace stepscan::inline STEPSCAN_ISA
