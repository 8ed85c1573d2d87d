#pragma once

#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/forecaster.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the statistics, the patches, the encoder's tape and outputs, and a copy of y. To be included beside the
/// encoder's own backward headers.
template <class Encoder>
struct Training<Forecaster<Encoder>> {
  using L = Forecaster<Encoder>;
  using S = typename L::scalar_type;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    typename Training<Encoder>::Tape encoder;
    std::array<Tensor<S, Dynamic>, 2> statistics;
    Tensor<S, Dynamic> scaled;  ///< z, then its cotangent
    Tensor<S, Dynamic> patches;
    Tensor<S, Dynamic> dpatches;
    Tensor<S, Dynamic> features;
    Tensor<S, Dynamic> dfeatures;
    Tensor<S, Dynamic> forecasts;  ///< the head's outputs, then their cotangent
    Tensor<S, Dynamic> y;          ///< then the cotangent of z behind the head
  };

  template <class Form>
  static void forward(const L& model, const Form& form, State& state, const SequenceView<const S>& x,
                      const SequenceView<S>& y, Tape& tape) {
    tape.x = x;
    auto memory = tape.statistics.begin();
    const InstanceStatistics<S> statistics =
        model.statistics_of(x, [&](Index size) { return room_in(*memory++, size); });
    const SequenceView<S> patches = model.patched(x.batch, room_in(tape.patches, model.patched_size(x.batch)));
    const SequenceView<S> features = model.encoded(x.batch, room_in(tape.features, model.encoded_size(x.batch)));
    const SequenceView<S> forecasts = forecasts_of(model, tape);
    model.patch(x, statistics, room_in(tape.scaled, x.batch * x.time * x.features), patches);
    model.encoder.forward(state, patches, features, tape.encoder, form);
    NoState none;
    model.head.scan(none, L::flat(features), forecasts);
    model.write(forecasts, statistics, y);
    copy_tokens<S>(y, y, outputs_of(model, tape));
  }

  static void backward(const L& model, Tape& tape, const SequenceView<const S>& dy, const State& dstate_end,
                       L& gradient, const SequenceView<S>& dx, State& dstate_start) {
    const SequenceView<const S>& x = tape.x;
    const Index channels = model.sizes().channels;
    Tensor<S, Dynamic, Dynamic> dmean(x.batch, channels), ddeviation(x.batch, channels);
    const InstanceStatistics<S> dstatistics{dmean, ddeviation};
    const InstanceStatistics<S> statistics{{tape.statistics[0].data(), x.batch, channels},
                                           {tape.statistics[1].data(), x.batch, channels}};
    const bool normalized = model.sizes().normalized;
    SequenceView<const S> dz = dy;
    if (normalized) {
      const SequenceView<S> y = outputs_of(model, tape);
      from_instance_scale_backward<S>(y, dy, statistics, model.norm.scale(), model.norm.eps, y, dstatistics,
                                      gradient.norm.scale());
      dz = y;
    }
    const SequenceView<S> forecasts = forecasts_of(model, tape);
    model.for_each_output(dz, forecasts, [](S value, S& to) { to = value; });
    const SequenceView<S> features = model.encoded(x.batch, tape.features.data());
    const SequenceView<S> dfeatures = model.encoded(x.batch, room_in(tape.dfeatures, model.encoded_size(x.batch)));
    detail::linear_backward<S>(model.head.weight, L::flat(features), forecasts, gradient.head.weight,
                               gradient.head.bias.data(), L::flat(dfeatures));
    const SequenceView<S> dpatches = model.patched(x.batch, room_in(tape.dpatches, model.patched_size(x.batch)));
    model.encoder.backward(tape.encoder, dfeatures, dstate_end, gradient.encoder, dpatches, dstate_start);
    if (!normalized) {
      take_patches_backward<S>(model.sizes().patching, dpatches, dx);
      return;
    }
    const SequenceView<S> dscaled(tape.scaled.data(), x.batch, x.time, channels);
    take_patches_backward<S>(model.sizes().patching, dpatches, dscaled);
    to_instance_scale_backward<S>(x, dscaled, statistics, dstatistics, model.norm.scale(), dx, gradient.norm.scale());
  }

 private:
  static SequenceView<S> forecasts_of(const L& model, Tape& tape) {
    const Index members = model.members(tape.x.batch);
    return {room_in(tape.forecasts, members * model.outputs()), members, 1, model.outputs()};
  }
  static SequenceView<S> outputs_of(const L& model, Tape& tape) {
    const Index horizon = model.sizes().horizon, channels = model.sizes().channels;
    return {room_in(tape.y, tape.x.batch * horizon * channels), tape.x.batch, horizon, channels};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
