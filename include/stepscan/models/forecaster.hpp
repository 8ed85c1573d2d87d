#pragma once

#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/reversible_norm.hpp>
#include <stepscan/ops/patching.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a Forecaster reads and writes.
struct ForecastSizes {
  Index channels = 1;
  Index lookback = 96;  ///< tokens read
  Index horizon = 24;   ///< tokens written
  Patching patching = {};
  bool normalized = true;  ///< by a ReversibleNorm
};

/// Forecasts the next `horizon` tokens of a series from its last `lookback` (PatchTST's frame, arXiv 2211.14730):
///   z = norm(x),   h = encoder(patches of z),   y = norm^-1(W [h_1 | h_2 | ...] + b)
/// x [batch, lookback, channels], y [batch, horizon, channels]. Each channel is forecast by itself with the same
/// weights, or, with patching.channels_mixed, all together. The encoder is any layer from a patch's features
/// (patching.features(channels)) to any number of features that keeps the time, also one that looks ahead. Parameters
/// are named norm.weight, norm.bias, encoder..., head.weight and head.bias.
/// Training: models/forecaster_backward.hpp.
template <SequenceLayer Encoder>
class Forecaster {
  using S = typename Encoder::scalar_type;
  static_assert(Encoder::keeps_time, "stepscan: the encoder of a Forecaster changes the number of patches");

 public:
  using scalar_type = S;
  using State = typename Encoder::State;
  static constexpr const char* name = "Forecaster";
  static constexpr Index static_inputs = Dynamic;
  static constexpr Index static_outputs = Dynamic;
  static constexpr bool keeps_time = false;

  ReversibleNorm<S> norm;
  Encoder encoder;
  Linear<S, Dynamic, Dynamic> head;

  static constexpr auto fields() requires(Tree<Encoder>) {
    return std::tuple{Field{"norm", &Forecaster::norm}, Field{"encoder", &Forecaster::encoder},
                      Field{"head", &Forecaster::head}};
  }

  Forecaster() = default;
  /// Head and norm all zero until initialised or loaded. Throws ShapeError when the encoder does not take patches of
  /// this size, ArgumentError when a size is not positive or a patch is longer than what is read.
  Forecaster(const ForecastSizes& sizes, Encoder layer) : encoder(std::move(layer)), sizes_(sizes) {
    const Patching& how = sizes.patching;
    if (std::min({sizes.channels, sizes.lookback, sizes.horizon, how.length, how.stride}) < 1 ||
        how.length > sizes.lookback) {
      fail<ArgumentError>("Forecaster: expected sizes of 1 or more and patches no longer than the lookback of " +
                          std::to_string(sizes.lookback) + ", found patches of " + std::to_string(how.length));
    }
    if (encoder.input_size() != how.features(sizes.channels)) {
      fail<ShapeError>("Forecaster: expected an encoder of " + std::to_string(how.features(sizes.channels)) +
                       " inputs, the features of a patch, found " + encoder.description());
    }
    norm = ReversibleNorm<S>(sizes.normalized ? sizes.channels : 0);
    head = Linear<S, Dynamic, Dynamic>(patches() * encoder.output_size(), outputs());
  }

  void initialize(Random& random) {
    norm.initialize(random);
    encoder.initialize(random);
    head.initialize(random);
  }

  [[nodiscard]] const ForecastSizes& sizes() const noexcept { return sizes_; }
  [[nodiscard]] Index input_size() const noexcept { return sizes_.channels; }
  [[nodiscard]] Index output_size() const noexcept { return sizes_.channels; }
  [[nodiscard]] Index output_time(Index) const noexcept { return sizes_.horizon; }
  /// Patches that the encoder reads, and numbers that the head writes for each of its members.
  [[nodiscard]] Index patches() const noexcept { return sizes_.patching.count(sizes_.lookback); }
  [[nodiscard]] Index outputs() const noexcept {
    return sizes_.horizon * (sizes_.patching.channels_mixed ? sizes_.channels : 1);
  }
  [[nodiscard]] Index members(Index batch) const noexcept { return sizes_.patching.members(batch, sizes_.channels); }

  /// The encoder's, one member for each channel unless they are mixed.
  [[nodiscard]] State initial_state(Index batch) const { return encoder.initial_state(members(batch)); }

  /// A Forecaster of the encoder's plan.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Plan = decltype(encoder.template plan<Stored, Math>());
    Forecaster<Plan> planned(sizes_, encoder.template plan<Stored, Math>());
    planned.norm = norm;
    planned.head = head;
    return planned;
  }

  /// The encoder goes from the state and into it. Throws ShapeError when sizes do not fit or x is ragged.
  template <class Form = OwnForm>
  void scan(State& state, SequenceView<const S> x, SequenceView<S> y, Workspace& workspace,
            const Form& form = {}) const {
    check(x, y);
    const Workspace::Scope scope(workspace);
    const InstanceStatistics<S> statistics = statistics_of(x, [&](Index size) { return workspace.take<S>(size); });
    const SequenceView<S> taken = patched(x.batch, workspace.take<S>(patched_size(x.batch)));
    const SequenceView<S> features = encoded(x.batch, workspace.take<S>(encoded_size(x.batch)));
    const SequenceView<S> forecasts(workspace.take<S>(members(x.batch) * outputs()), members(x.batch), 1, outputs());
    patch(x, statistics, workspace.take<S>(x.batch * x.time * x.features), taken);
    encoder.scan(state, taken, features, workspace, form);
    NoState none;
    head.scan(none, flat(features), forecasts, workspace);
    write(forecasts, statistics, y);
  }

  /// A scan that keeps in the tape what `backward` needs. x must stay where it is until then.
  template <class Form = OwnForm, class TapeType>
  void forward(State& state, SequenceView<const S> x, SequenceView<S> y, TapeType& tape, const Form& form = {}) const {
    check(x, y);
    Training<Forecaster>::forward(*this, form, state, x, y, tape);
  }

  /// From the cotangents of y and of the encoder's final state: adds the gradient of the parameters to `gradient`,
  /// writes the cotangents of x, through its mean and deviation as well, and of the initial state.
  template <class TapeType>
  void backward(TapeType& tape, SequenceView<const S> dy, const State& dstate_end, Forecaster& gradient,
                SequenceView<S> dx, State& dstate_start) const {
    Training<Forecaster>::backward(*this, tape, dy, dstate_end, gradient, dx, dstate_start);
  }

 private:
  friend Training<Forecaster>;

  void check(const SequenceView<const S>& x, const SequenceView<S>& y) const {
    const auto require = [&](const char* what, const auto& view, Index time) {
      if (view.batch != x.batch || view.time != time || view.features != sizes_.channels || view.is_ragged()) {
        fail<ShapeError>("Forecaster: expected " + std::string(what) + " of shape " +
                         shape_text({x.batch, time, sizes_.channels}) + " without padding, found " +
                         shape_text({view.batch, view.time, Index{view.features}}));
      }
    };
    require("inputs", x, sizes_.lookback);
    require("outputs", y, sizes_.horizon);
  }

  [[nodiscard]] Index patched_size(Index batch) const noexcept {
    return members(batch) * patches() * encoder.input_size();
  }
  [[nodiscard]] Index encoded_size(Index batch) const noexcept {
    return members(batch) * patches() * encoder.output_size();
  }
  [[nodiscard]] SequenceView<S> patched(Index batch, S* memory) const noexcept {
    return {memory, members(batch), patches(), encoder.input_size()};
  }
  [[nodiscard]] SequenceView<S> encoded(Index batch, S* memory) const noexcept {
    return {memory, members(batch), patches(), encoder.output_size()};
  }
  /// All patches of a member as one token.
  static SequenceView<S> flat(const SequenceView<S>& features) noexcept {
    return {features.data, features.batch, 1, features.time * features.features};
  }

  /// The statistics of x in memory from take(count).
  template <class Take>
  [[nodiscard]] InstanceStatistics<S> statistics_of(const SequenceView<const S>& x, Take&& take) const {
    if (!sizes_.normalized) return {};
    const InstanceStatistics<S> statistics{{take(x.batch * x.features), x.batch, Index{x.features}},
                                           {take(x.batch * x.features), x.batch, Index{x.features}}};
    instance_statistics<S>(x, norm.eps, statistics);
    return statistics;
  }

  /// The patches of z; `memory` is for z.
  void patch(const SequenceView<const S>& x, const InstanceStatistics<S>& statistics, S* memory,
             const SequenceView<S>& taken) const noexcept {
    SequenceView<const S> z = x;
    if (sizes_.normalized) {
      const SequenceView<S> normal(memory, x.batch, x.time, Index{x.features});
      to_instance_scale<S>(x, statistics, norm.scale(), normal);
      z = normal;
    }
    take_patches<S>(sizes_.patching, z, taken);
  }

  /// Calls f(number of y, number of the head's outputs) for all of them.
  template <class Y, class Z, class Function>
  void for_each_output(const SequenceView<Y>& y, const SequenceView<Z>& forecasts, Function&& f) const {
    const Index channels = sizes_.channels;
    for (Index b = 0; b < y.batch; ++b) {
      for (Index t = 0; t < y.time; ++t) {
        for (Index c = 0; c < channels; ++c) {
          const bool mixed = sizes_.patching.channels_mixed;
          f(y.token(b, t)[c], forecasts.token(mixed ? b : b * channels + c, 0)[mixed ? t * channels + c : t]);
        }
      }
    }
  }
  void write(const SequenceView<S>& forecasts, const InstanceStatistics<S>& statistics,
             const SequenceView<S>& y) const noexcept {
    for_each_output(y, forecasts, [](S& to, S value) { to = value; });
    if (sizes_.normalized) from_instance_scale<S>(statistics, norm.scale(), norm.eps, y);
  }

  ForecastSizes sizes_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
