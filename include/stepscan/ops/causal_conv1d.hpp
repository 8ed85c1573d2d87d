#pragma once

#include <algorithm>
#include <array>
#include <stepscan/ops/activation.hpp>
#include <stepscan/scan/executors.hpp>

/// Depthwise causal convolution over time:
///   y_t = f(bias + sum_(k < W) tap_k x_(t-W+1+k)),   tap W-1 against the current token
/// The state is the window of the last W-1 inputs, oldest first. A run of tokens does to it what appending them and
/// dropping the oldest does, so a chunk needs nothing of its past but the W-1 tokens before it: chunks of all lengths
/// give the same bits.
namespace stepscan::inline STEPSCAN_ISA {

/// Taps [W, features], one row per distance in time, and the bias [features] or null.
template <Scalar S, Index Width = Dynamic>
struct ConvTaps {
  MatrixView<const S, Width> taps;
  const S* bias = nullptr;
};

/// Writes weight [features, W] as taps [W, features].
template <Scalar S>
void transpose_taps(MatrixView<const S> weight, S* taps) noexcept {
  for (Index k = 0; k < weight.cols; ++k) {
    for (Index d = 0; d < weight.rows; ++d) *taps++ = weight(d, k);
  }
}

namespace detail {

/// The window [W-1, features] of a batch member, and the tokens behind it.
template <Scalar S>
struct ConvInputs {
  MatrixView<const S> window;
  MatrixView<const S> x;

  /// Token t, or the one before the sequence that a negative t counts back to.
  [[nodiscard]] const S* row(Index t) const noexcept { return t < 0 ? window.row(window.rows + t) : x.row(t); }
};

/// bias + sum_k tap_k input(r + k) of the features of these lanes for the tokens r, for all of which a tap is read once.
template <std::size_t Tokens, Scalar S, Index Width, class Lanes, class Input>
[[gnu::always_inline]] inline std::array<Simd<S>, Tokens> convolve(const ConvTaps<S, Width>& conv, Index i,
                                                                   const Lanes& lanes, const Input& input) noexcept {
  std::array<Simd<S>, Tokens> sums;
  sums.fill(conv.bias == nullptr ? Simd<S>(S{0}) : lanes.load(conv.bias + i));
  for (Index k = 0; k < conv.taps.rows; ++k) {
    const Simd<S> tap = lanes.load(conv.taps.row(k) + i);
    for (std::size_t r = 0; r < Tokens; ++r) {
      sums[r] = fma(tap, lanes.load(input(static_cast<Index>(r) + k) + i), sums[r]);
    }
  }
  return sums;
}

/// The outputs of a range of tokens of one member.
template <class Function, class Math, Scalar S, Index Width>
void convolve_tokens(const ConvTaps<S, Width>& conv, const ConvInputs<S>& inputs, TokenRange tokens,
                     MatrixView<S> y) noexcept {
  constexpr std::size_t block = 4;
  const Index before = conv.taps.rows - 1;
  const auto emit = [&]<std::size_t Tokens>(std::integral_constant<std::size_t, Tokens>, Index t, const auto& input)
      __attribute__((always_inline)) {
    for_each_lanes<S>(y.cols, [&](Index i, auto lanes) {
      const auto sums = convolve<Tokens>(conv, i, lanes, input);
      for (std::size_t r = 0; r < Tokens; ++r) {
        lanes.store(y.row(t + static_cast<Index>(r)) + i, Function::template apply<Math>(sums[r]));
      }
    });
  };
  const auto one = std::integral_constant<std::size_t, 1>{};
  const auto row_behind = [&](Index t) {
    return [stride = inputs.x.stride, oldest = inputs.x.row(t - before)](Index k) { return oldest + k * stride; };
  };
  Index t = tokens.begin;
  for (; t < std::min(before, tokens.end); ++t) emit(one, t, [&](Index k) { return inputs.row(t - before + k); });
  for (; t + static_cast<Index>(block) <= tokens.end; t += static_cast<Index>(block)) {
    emit(std::integral_constant<std::size_t, block>{}, t, row_behind(t));
  }
  for (; t < tokens.end; ++t) emit(one, t, row_behind(t));
}

}  // namespace detail

/// The window moves over the tokens x: it becomes the last rows of (window, x).
template <Scalar S>
void advance_window(MatrixView<S> window, MatrixView<const S> x) noexcept {
  const Index kept = std::max<Index>(window.rows - x.rows, 0), dropped = window.rows - kept;
  for (Index r = 0; r < kept; ++r) std::copy_n(window.row(r + dropped), Index{window.cols}, window.row(r));
  for (Index r = kept; r < window.rows; ++r) std::copy_n(x.row(x.rows - window.rows + r), Index{x.cols}, window.row(r));
}

/// One token of every row. windows [rows, W-1, features] lie one behind the other.
template <class Function, class Math, Scalar S, Index Width>
void causal_conv1d_step(const ConvTaps<S, Width>& conv, S* windows, MatrixView<const S> x, MatrixView<S> y) noexcept {
  const Index before = conv.taps.rows - 1;
  for (Index r = 0; r < x.rows; ++r) {
    const MatrixView<S> window(windows + r * before * x.cols, before, Index{x.cols});
    detail::convolve_tokens<Function, Math>(conv, {window, x.middle_rows(r, 1)}, {0, 1}, y.middle_rows(r, 1));
    advance_window<S>(window, x.middle_rows(r, 1));
  }
}

/// Whole sequences x, y [batch, time, features] from the windows [batch, W-1, features] and into them. The schedule
/// says whether the chunks of a member may run on several threads, or members alone; it changes no bit.
template <class Function, class Math, Scalar S, Index Width>
void causal_conv1d(const ConvTaps<S, Width>& conv, S* windows, SequenceView<const S> x, SequenceView<S> y,
                   const ScanSchedule& schedule) noexcept {
  constexpr Index usual_chunk = 64;
  const Index before = conv.taps.rows - 1, features = x.features;
  const Index chunk = !schedule.parallel   ? std::max<Index>(x.time, 1)
                      : schedule.chunk > 0 ? schedule.chunk
                                           : usual_chunk;
  const Index chunks = chunk_count(x.time, chunk);
  const Index workers = worker_count(x.batch * chunks, x.batch * x.time * features * conv.taps.rows);
  const auto window = [&](Index b) { return MatrixView<S>(windows + b * before * features, before, features); };
  parallel_for(x.batch * chunks, static_cast<int>(workers), [&](Index job) {
    const Index b = job / chunks, begin = job % chunks * chunk;
    const TokenRange tokens{begin, std::min(begin + chunk, x.length(b))};
    detail::convolve_tokens<Function, Math>(conv, {window(b), x.member(b)}, tokens, y.member(b));
  });
  for (Index b = 0; b < x.batch; ++b) advance_window<S>(window(b), x.member(b).middle_rows(0, x.length(b)));
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
