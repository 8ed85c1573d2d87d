#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/causal_conv1d.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The backward pass of some features, which depend on no other ones. With d_t the cotangent of the pre-activation,
///   dx_t = sum_k tap_k d_(t+W-1-k),   dtap_k = sum_t d_t x_(t-W+1+k),   dbias = sum_t d_t
/// Tokens are visited from the last to the first; the last W cotangents are kept in a ring.
template <class Function, Scalar S, Index Width>
struct CausalConvBackward {
  ConvTaps<S, Width> conv;
  SequenceView<const S> x;
  const S* starts;  ///< windows before the sequence [batch, W-1, features], as dends and dstarts
  SequenceView<const S> dy;
  const S* dends;
  SequenceView<S> dx;
  S* dstarts;
  S* dtaps;  ///< [W, features]
  S* dbias;  ///< [features]
  S* ring;   ///< [W, features]

  void run(Index first, Index count) const noexcept {
    for (Index b = 0; b < x.batch; ++b) {
      for (Index k = 0; k < width(); ++k) std::fill_n(slot(k) + first, count, S{0});
      for (Index t = x.length(b) - 1; t >= 0; --t) token(b, t, first, count);
      for (Index j = 0; j + 1 < width(); ++j) start(b, j, first, count);
    }
  }

 private:
  [[nodiscard]] Index width() const noexcept { return conv.taps.rows; }
  [[nodiscard]] S* slot(Index t) const noexcept { return ring + t % width() * x.features; }
  [[nodiscard]] Index window_row(Index b, Index j) const noexcept { return (b * (width() - 1) + j) * x.features; }

  void token(Index b, Index t, Index first, Index count) const noexcept {
    const Index before = width() - 1, left = x.length(b) - 1 - t;
    const ConvInputs<S> inputs{{starts + window_row(b, 0), before, Index{x.features}}, x.member(b)};
    const auto input = [&](Index k) { return inputs.row(t - before + k); };
    for_each_lanes<S>(count, [&](Index u, auto lanes) {
      const Index i = first + u;
      const Simd<S> argument = convolve<1>(conv, i, lanes, input).front();
      const Simd<S> d = activation_slope<Function>(argument) * lanes.load(dy.token(b, t) + i);
      lanes.store(slot(t) + i, d);
      lanes.store(dbias + i, lanes.load(dbias + i) + d);
      Simd<S> sum = left < before ? lanes.load(dends + window_row(b, before - 1 - left) + i) : Simd<S>(S{0});
      for (Index k = 0; k < width(); ++k) {
        S* dtap = dtaps + k * x.features + i;
        lanes.store(dtap, fma(d, lanes.load(input(k) + i), lanes.load(dtap)));
        sum = fma(lanes.load(conv.taps.row(k) + i), lanes.load(slot(t + before - k) + i), sum);
      }
      lanes.store(dx.token(b, t) + i, sum);
    });
  }

  /// Row j of the window stands W-1-j tokens before the first one; with fewer tokens than that it is still in the
  /// window at the end.
  void start(Index b, Index j, Index first, Index count) const noexcept {
    for_each_lanes<S>(count, [&](Index u, auto lanes) {
      const Index i = first + u, length = x.length(b);
      Simd<S> sum = j >= length ? lanes.load(dends + window_row(b, j - length) + i) : Simd<S>(S{0});
      for (Index k = 0; k <= j; ++k) sum = fma(lanes.load(conv.taps.row(k) + i), lanes.load(slot(j - k) + i), sum);
      lanes.store(dstarts + window_row(b, j) + i, sum);
    });
  }
};

}  // namespace detail

/// The backward pass of causal_conv1d, from the cotangents of its outputs and of its last windows. `starts` are the
/// windows it began with. Adds to dweight [features, W] and dbias [features] (or null); writes dx and the cotangents of
/// the first windows. Runs blocks of features on threads.
template <class Function, Scalar S, Index Width>
void causal_conv1d_backward(const ConvTaps<S, Width>& conv, const S* starts, SequenceView<const S> x,
                            SequenceView<const S> dy, const S* dends, SequenceView<S> dx, S* dstarts,
                            MatrixView<S> dweight, S* dbias, Workspace& workspace) {
  constexpr Index block = 64;
  const Workspace::Scope scope(workspace);
  const Index width = conv.taps.rows, features = x.features, blocks = (features + block - 1) / block;
  S* sums = workspace.take<S>((2 * width + 1) * features);
  std::fill_n(sums, (2 * width + 1) * features, S{0});
  const detail::CausalConvBackward<Function, S, Width> pass{
      conv, x, starts, dy, dends, dx, dstarts, sums, sums + width * features, sums + (width + 1) * features};
  const Index workers = worker_count(blocks, 4 * x.batch * x.time * features * width);
  parallel_for(blocks, static_cast<int>(workers),
               [&](Index i) { pass.run(i * block, std::min(block, features - i * block)); });
  for (Index d = 0; d < features; ++d) {
    for (Index k = 0; k < width; ++k) dweight(d, k) += pass.dtaps[k * features + d];
    if (dbias != nullptr) dbias[d] += pass.dbias[d];
  }
  clear_padding(x, dx);
}

}  // namespace stepscan::inline STEPSCAN_ISA
