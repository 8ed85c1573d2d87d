#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/ops/dense_operators.hpp>

/// Dense systems of one input each, token after token: a step, and a whole sequence with the same bits. Lanes are
/// features.
namespace stepscan::inline STEPSCAN_ISA {

/// The weights of one register of features: A [N, N], b [N], c [channels, N] and D [channels], each number a register.
template <Scalar S>
class DenseStrip {
 public:
  static constexpr Index width = simd_width<S>;

  DenseStrip(Index states, Index channels, const S* weights) noexcept
      : states_(states), channels_(channels), weights_(weights) {}

  [[nodiscard]] static constexpr Index size(Index states, Index channels) noexcept {
    return ((states + 1) * states + channels * (states + 1)) * width;
  }
  [[nodiscard]] const S* weights() const noexcept { return weights_; }
  /// Numbers of scratch of a step.
  [[nodiscard]] static constexpr Index room(Index states, Index channels) noexcept {
    return (states + channels) * width;
  }
  [[nodiscard]] static constexpr Index count(Index features) noexcept { return (features + width - 1) / width; }

  /// Writes the system of one lane to `weights`.
  static void fill(S* weights, Index lane, const DenseResponse& system) noexcept {
    const Index N = system.states;
    S* to = weights + lane;
    const auto put = [&](double value) {
      *to = static_cast<S>(value);
      to += width;
    };
    for (Index i = 0; i < N; ++i) {
      for (Index j = 0; j < N; ++j) put(system.transposed[j * N + i]);
    }
    for (Index n = 0; n < N; ++n) put(system.b[n]);
    for (Index i = 0; i < system.channels * N; ++i) put(system.c[i]);
    for (Index m = 0; m < system.channels; ++m) put(system.skip[m]);
  }

  /// h' = A h + b u,  y = c h' + D u for the `lanes` features from u, h [N, stride] and y [features, channels] on; room
  /// [(N + channels) * width].
  template <class Lanes>
  void step(const Lanes& lanes, Index active, const S* u, S* h, Index stride, S* y, S* room) const noexcept {
    const Simd<S> in = lanes.load(u);
    const S* input = weights_ + states_ * states_ * width;
    for (Index first = 0; first < states_; first += rows) {
      const Index last = std::min(first + rows, states_) - 1;  // rows behind the last one repeat it
      Simd<S> sum[rows];
      const S* weights[rows];
      for (Index r = 0; r < rows; ++r) {
        const Index i = std::min(first + r, last);
        weights[r] = weights_ + i * states_ * width;
        sum[r] = load(input + i * width) * in;
      }
      for (Index j = 0; j < states_; ++j) {
        const Simd<S> before = lanes.load(h + j * stride);
        for (Index r = 0; r < rows; ++r) sum[r] = fma(load(weights[r] + j * width), before, sum[r]);
      }
      for (Index r = 0; r < rows; ++r) store(room + std::min(first + r, last) * width, sum[r]);
    }
    for (Index n = 0; n < states_; ++n) lanes.store(h + n * stride, load(room + n * width));
    const S* read = input + states_ * width;
    const S* skip = read + channels_ * states_ * width;
    for (Index m = 0; m < channels_; ++m) {
      Simd<S> sum = load(skip + m * width) * in;
      for (Index n = 0; n < states_; ++n) {
        sum = fma(load(read + (m * states_ + n) * width), load(room + n * width), sum);
      }
      if (channels_ == 1) {
        lanes.store(y, sum);
      } else {
        S* out = room + (states_ + m) * width;
        store(out, sum);
        for (Index f = 0; f < active; ++f) y[f * channels_ + m] = out[f];
      }
    }
  }

 private:
  static constexpr Index rows = 4;

  Index states_;
  Index channels_;
  const S* weights_;
};

/// One token: x [batch, features], h [batch, N, features], y [batch, features * channels]. strip(i) gives the weights
/// of the i-th register of features.
template <Scalar S, class Strips>
void dense_step(const Strips& strip, Index states, Index channels, MatrixView<const S> x, S* h, MatrixView<S> y,
                S* room) noexcept {
  const Index features = x.cols;
  for_each_lanes<S>(features, [&](Index f, auto lanes) {
    const DenseStrip<S> weights = strip(f / simd_width<S>);
    const Index active = std::min(simd_width<S>, features - f);
    for (Index r = 0; r < x.rows; ++r) {
      weights.step(lanes, active, x.row(r) + f, h + r * states * features + f, features, y.row(r) + f * channels, room);
    }
  });
}

/// A whole sequence, register of features after register of features. strip(i, worker) gives their weights; room
/// [workers, DenseStrip::room].
template <Scalar S, class Strips>
void dense_recurrence(const Strips& strip, Index states, Index channels, SequenceView<const S> x, S* h,
                      SequenceView<S> y, Index workers, S* room) {
  const Index features = x.features, count = DenseStrip<S>::count(features);
  detail::for_each_share(count, workers, [&](Index i, Index worker) {
    const DenseStrip<S> weights = strip(i, worker);
    const Index f = i * simd_width<S>, active = std::min(simd_width<S>, features - f);
    const auto run = [&](auto lanes) {
      for (Index b = 0; b < x.batch; ++b) {
        for (Index t = 0; t < x.length(b); ++t) {
          weights.step(lanes, active, x.token(b, t) + f, h + b * states * features + f, features,
                       y.token(b, t) + f * channels, room + worker * DenseStrip<S>::room(states, channels));
        }
      }
    };
    if (active == simd_width<S>) {
      run(FullLanes<S>{});
    } else {
      run(PartialLanes<S>{active});
    }
  });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
