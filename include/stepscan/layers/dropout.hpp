#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/ops/dropout.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Of every batch member the key, the number of its sequence and the position of its next token. A key of 0, as in an
/// initial state, is no dropout.
struct DropoutState {
  Tensor<std::uint64_t, Dynamic, 3> places;

  static constexpr auto fields() { return std::tuple{Field{"dropout", &DropoutState::places}}; }

  [[nodiscard]] DropoutPlace place(Index b) const noexcept { return {places(b, 0), places(b, 1), places(b, 2)}; }
};

/// What a dropout mask is drawn for.
enum class MaskFor {
  token,     ///< every token its own
  sequence,  ///< one for all tokens of a sequence
};

/// Dropout of features: y = x m / (1 - rate), m 0 or 1, in training; y = x otherwise. No parameters; runs in any form.
///
/// Whether it drops, and what, is part of the state: an initial state drops nothing, and after start_dropout(state,
/// ...) each token is masked by a function of its sequence, its position and the feature alone. So a scan, a forward
/// pass and its backward pass draw the same masks, wherever the sequence is split and however the batch is spread over
/// threads. A plan drops nothing whatever its state.
///
/// Sources: Srivastava et al., JMLR 15 (2014); with one mask per sequence, for the inputs and outputs of recurrent
/// layers, Gal and Ghahramani, arXiv 1512.05287.
template <Scalar S, Index Features, MaskFor For = MaskFor::token>
class Dropout : public Layer<Dropout<S, Features, For>, S, Features, Features> {
 public:
  static constexpr const char* name = For == MaskFor::token ? "Dropout" : "VariationalDropout";
  using State = DropoutState;
  using Forms = std::tuple<Recurrent>;
  using DefaultForm = Recurrent;
  static constexpr bool any_form = true;
  static constexpr bool time_invariant = true;
  static constexpr Index receptive_field = 1;

  double rate = 0.5;  ///< the probability that a feature is dropped, in [0, 1)

  static constexpr auto fields() { return std::tuple<>{}; }

  Dropout() = default;
  /// Throws ArgumentError for a rate outside [0, 1).
  explicit Dropout(double dropped) : Dropout(Extent<Features>(), dropped) {}
  Dropout(Extent<Features> features, double dropped) : rate(dropped), features_(features) {
    if (!(dropped >= 0 && dropped < 1)) {
      fail<ArgumentError>(std::string(name) + ": expected a rate in [0, 1), found " + std::to_string(dropped));
    }
  }

  void initialize(Random&) noexcept {}

  [[nodiscard]] Index input_size() const noexcept { return features_; }
  [[nodiscard]] Index output_size() const noexcept { return features_; }
  [[nodiscard]] State initial_state(Index batch) const { return {Tensor<std::uint64_t, Dynamic, 3>(batch)}; }

  [[nodiscard]] DropoutRule rule() const noexcept { return {rate, For == MaskFor::sequence}; }

  /// The identity.
  template <class Stored = S, class Math = void>
  [[nodiscard]] Dropout plan() const {
    return {features_, 0.0};
  }

 private:
  friend Layer<Dropout, S, Features, Features>;

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    for (Index b = 0; b < x.rows; ++b) {
      rule().apply(state.place(b), state.places(b, 2)++, features_, x.row(b), y.row(b));
    }
  }

  template <class Form>
  void run_scan(const Form&, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace&) const {
    drop_tokens<S>(
        rule(), [&](Index b) { return state.place(b); }, x, y);
    for (Index b = 0; b < x.batch; ++b) state.places(b, 2) += static_cast<std::uint64_t>(x.length(b));
  }

  [[no_unique_address]] Extent<Features> features_;
};

/// Dropout with one mask for all tokens of a sequence.
template <Scalar S, Index Features>
using VariationalDropout = Dropout<S, Features, MaskFor::sequence>;

namespace detail {

/// Calls f(number of the layer, places) for every Dropout of a model, in the state of that model.
template <class State, class F>
void for_each_dropout(State& state, F&& f) {
  std::uint64_t layer = 0;
  for_each_tensor(
      [&](const Path& path, auto& tensor) {
        if constexpr (std::same_as<std::remove_cvref_t<decltype(tensor)>, Tensor<std::uint64_t, Dynamic, 3>>) {
          if (path.name == "dropout") f(layer++, tensor);
        }
      },
      state);
}

}  // namespace detail

/// From here on the Dropouts of the model whose state this is drop: each by a mask of its own, drawn for sequence
/// `first_member` + b of training step `step` under the seed. To be called on the state that a training sequence starts
/// with; a part of a batch, beginning at member `first_member` of the whole, then gets the masks it has in the whole.
template <class State>
void start_dropout(State& state, std::uint64_t seed, std::uint64_t step, Index first_member = 0) {
  detail::for_each_dropout(state, [&](std::uint64_t layer, Tensor<std::uint64_t, Dynamic, 3>& places) {
    const std::uint64_t key = dropout_key(seed, layer);
    for (Index b = 0; b < places.extent(0); ++b) {
      places(b, 0) = key;
      places(b, 1) = (step << 32) + static_cast<std::uint64_t>(first_member + b);
      places(b, 2) = 0;
    }
  });
}

/// From here on nothing is dropped.
template <class State>
void stop_dropout(State& state) {
  detail::for_each_dropout(state, [](std::uint64_t, auto& places) { places.fill(0); });
}

}  // namespace stepscan::inline STEPSCAN_ISA
