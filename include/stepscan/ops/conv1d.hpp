#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/panels.hpp>

/// Convolution over time as deep-learning libraries mean it (a cross-correlation, torch.nn.Conv1d) of sequences with
/// channels last: with w [outputs, inputs / groups, kernel] and zeros outside the sequence,
///   y[t, o] = b[o] + sum_{k, c} w[o, c, k] x[t stride + k dilation - left, c]
/// where c runs over the channels of o's group. One group over contiguous tokens is one product: the windows are rows
/// of a matrix that overlap in memory. Windows with gaps, and those that reach into the padding, are gathered first.
namespace stepscan::inline STEPSCAN_ISA {

/// The sizes of a convolution.
struct Conv1dShape {
  Index inputs = 0;    ///< channels in
  Index outputs = 0;   ///< channels out
  Index kernel = 1;    ///< taps
  Index stride = 1;    ///< tokens from one window to the next
  Index dilation = 1;  ///< tokens from one tap to the next
  Index left = 0;      ///< zeros before the first token
  Index right = 0;     ///< zeros behind the last
  Index groups = 1;    ///< independent groups of channels; as many as channels: depthwise

  /// Tokens that one window covers.
  [[nodiscard]] constexpr Index span() const noexcept { return dilation * (kernel - 1) + 1; }
  [[nodiscard]] constexpr Index group_inputs() const noexcept { return groups > 0 ? inputs / groups : 0; }
  [[nodiscard]] constexpr Index group_outputs() const noexcept { return groups > 0 ? outputs / groups : 0; }
  /// Numbers in one window of one group.
  [[nodiscard]] constexpr Index window() const noexcept { return kernel * group_inputs(); }
  [[nodiscard]] constexpr bool depthwise() const noexcept { return groups == inputs && groups == outputs; }

  /// How many tokens come out when `time` go in; none come out of none.
  [[nodiscard]] constexpr Index output_time(Index time) const noexcept {
    const Index room = left + time + right - span();
    return time <= 0 || room < 0 ? 0 : room / stride + 1;
  }
  /// How many tokens a transposed convolution gives.
  [[nodiscard]] constexpr Index transposed_time(Index time) const noexcept {
    return time <= 0 ? 0 : std::max<Index>((time - 1) * stride + span() - left - right, 0);
  }
};

/// Throws ArgumentError where no convolution has such sizes.
inline void check_conv1d(const Conv1dShape& s) {
  if (s.kernel < 1 || s.stride < 1 || s.dilation < 1 || s.groups < 1 || s.left < 0 || s.right < 0) {
    fail<ArgumentError>(
        "Conv1d: expected kernel, stride, dilation and groups of at least 1 and padding of at least 0, found " +
        shape_text({s.kernel, s.stride, s.dilation, s.groups}) + " and " + shape_text({s.left, s.right}));
  }
  if (s.inputs % s.groups != 0 || s.outputs % s.groups != 0) {
    fail<ArgumentError>("Conv1d: expected channels that " + std::to_string(s.groups) + " groups share evenly, found " +
                        std::to_string(s.inputs) + " in and " + std::to_string(s.outputs) + " out");
  }
}

namespace detail {

/// One tap of all channels of a depthwise convolution, in whole registers.
template <Scalar S>
constexpr Index depthwise_stride(const Conv1dShape& s) noexcept {
  return (s.inputs + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
}

}  // namespace detail

/// Numbers that the packed weights take.
template <Scalar S>
[[nodiscard]] constexpr Index conv1d_packed_size(const Conv1dShape& s) noexcept {
  return s.depthwise() ? s.kernel * detail::depthwise_stride<S>(s)
                       : s.groups * packed_size<S>(s.group_outputs(), s.window());
}

/// Packs weights [outputs, inputs / groups, kernel]: each group as panels whose columns are tap after tap, all channels
/// of each, as a window lies in memory; a depthwise convolution as [kernel, channels].
template <Scalar S, class Stored>
void pack_conv1d(const Conv1dShape& s, const S* weight, Stored* packed) {
  std::fill_n(packed, conv1d_packed_size<S>(s), Stored{});
  const Index inputs = s.group_inputs(), outputs = s.group_outputs();
  for (Index o = 0; o < s.outputs; ++o) {
    for (Index k = 0; k < s.kernel; ++k) {
      if (s.depthwise()) {
        packed[k * detail::depthwise_stride<S>(s) + o] = static_cast<Stored>(weight[o * s.kernel + k]);
      } else {
        const MatrixView<const S> tap(weight + o * s.window() + k, inputs, Index{1}, s.kernel);
        Stored* panels = packed + o / outputs * packed_size<S>(outputs, s.window());
        pack_transposed<S>(panels, s.window(), tap, o % outputs, k * inputs);
      }
    }
  }
}

namespace detail {

/// The windows [begin, end) that lie within a sequence of `time` tokens.
struct WindowRange {
  Index begin, end;
};
constexpr WindowRange inner_windows(const Conv1dShape& s, Index time) noexcept {
  const Index count = s.output_time(time), room = time + s.left - s.span();
  const Index begin = std::min((s.left + s.stride - 1) / s.stride, count);
  const Index end = room < 0 ? begin : std::clamp(room / s.stride + 1, begin, count);
  return {begin, end};
}

/// Copies the windows [first, first + rows.rows) of one group, zeros outside the sequence [time, channels].
template <Scalar S>
void gather_windows(const Conv1dShape& s, MatrixView<const S> x, Index group, Index first,
                    MatrixView<S> rows) noexcept {
  const Index inputs = s.group_inputs();
  for (Index r = 0; r < rows.rows; ++r) {
    for (Index k = 0; k < s.kernel; ++k) {
      const Index t = (first + r) * s.stride + k * s.dilation - s.left;
      S* to = rows.row(r) + k * inputs;
      if (t < 0 || t >= x.rows) {
        std::fill_n(to, inputs, S{0});
      } else {
        std::copy_n(x.row(t) + group * inputs, inputs, to);
      }
    }
  }
}

/// Windows that are gathered at a time.
inline constexpr Index conv1d_block = 32;

/// y [output time, outputs] of the windows [first, end).
template <Scalar S, class Stored>
void convolve_gathered(const Conv1dShape& s, const Stored* packed, const S* bias, MatrixView<const S> x, Index first,
                       Index end, MatrixView<S> y, S* scratch) noexcept {
  const Index outputs = s.group_outputs();
  for (; first < end; first += conv1d_block) {
    const Index count = std::min(conv1d_block, end - first);
    const MatrixView<S> rows(scratch, count, s.window());
    for (Index group = 0; group < s.groups; ++group) {
      gather_windows<S>(s, x, group, first, rows);
      const PanelsView<S, Dynamic, Dynamic, Stored> a{packed + group * packed_size<S>(outputs, s.window()), outputs,
                                                      s.window()};
      a.multiply(rows, {bias + group * outputs, count, outputs, 0},
                 y.middle_rows(first, count).middle_cols(group * outputs, outputs));
    }
  }
}

template <Scalar S, class Stored>
void convolve_depthwise(const Conv1dShape& s, const Stored* packed, const S* bias, MatrixView<const S> x,
                        MatrixView<S> y) noexcept {
  for (Index r = 0; r < y.rows; ++r) {
    const Index start = r * s.stride - s.left;
    for_each_lanes<S>(s.inputs, [&](Index c, auto lanes) {
      Simd<S> sum = lanes.load(bias + c);
      for (Index k = 0; k < s.kernel; ++k) {
        const Index t = start + k * s.dilation;
        if (t < 0 || t >= x.rows) continue;
        sum = fma(load_stored<S>(packed + k * depthwise_stride<S>(s) + c), lanes.load(x.row(t) + c), sum);
      }
      lanes.store(y.row(r) + c, sum);
    });
  }
}

/// One sequence, x [time, inputs] and y [output time, outputs].
template <Scalar S, class Stored>
void convolve_member(const Conv1dShape& s, const Stored* packed, const S* bias, MatrixView<const S> x, MatrixView<S> y,
                     S* scratch) noexcept {
  if (s.depthwise()) {
    convolve_depthwise(s, packed, bias, x, y);
    return;
  }
  const bool overlapping = s.groups == 1 && (s.kernel == 1 || (s.dilation == 1 && x.stride == s.inputs));
  const WindowRange inner = overlapping ? inner_windows(s, x.rows) : WindowRange{0, 0};
  convolve_gathered(s, packed, bias, x, 0, inner.begin, y, scratch);
  const PanelsView<S, Dynamic, Dynamic, Stored> a{packed, s.outputs, s.window()};
  for (Index t = inner.begin; t < inner.end; t += conv1d_block) {
    const Index count = std::min(conv1d_block, inner.end - t);
    const MatrixView<const S> rows(x.row(t * s.stride - s.left), count, s.window(), s.stride * x.stride);
    a.multiply(rows, {bias, count, s.outputs, 0}, y.middle_rows(t, count));
  }
  convolve_gathered(s, packed, bias, x, inner.end, Index{y.rows}, y, scratch);
}

}  // namespace detail

/// Numbers of scratch that conv1d needs per batch member.
[[nodiscard]] constexpr Index conv1d_scratch(const Conv1dShape& s) noexcept {
  return detail::conv1d_block * s.window();
}

/// x [batch, time, inputs] to y [batch, output_time(time), outputs]; packed by pack_conv1d, bias [outputs]. A member of
/// a ragged batch gives output_time(its length) tokens, then zeros. Members are spread over threads.
template <Scalar S, class Stored>
void conv1d(const Conv1dShape& s, const Stored* packed, const S* bias, SequenceView<const S> x, SequenceView<S> y,
            Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  S* scratch = workspace.take<S>(x.batch * conv1d_scratch(s));
  const auto one = [&](Index b) {
    const Index time = x.length(b), count = s.output_time(time);
    detail::convolve_member(s, packed, bias, x.member(b).middle_rows(0, time), y.member(b).middle_rows(0, count),
                            scratch + b * conv1d_scratch(s));
    clear_behind(y, b, count);
  };
  parallel_for(x.batch, one);
}

/// The transposed convolution (torch.nn.ConvTranspose1d), the adjoint of a conv1d whose last window ends with its
/// padded sequence: with w [inputs, outputs / groups, kernel], every token t of x adds to the outputs at t stride + k
/// dilation - left,
///   y[t stride + k dilation - left, o] += w[c, o, k] x[t, c]
/// x [batch, time, inputs], y [batch, transposed_time(time), outputs]; bias [outputs] or null.
template <Scalar S>
void conv_transpose1d(const Conv1dShape& s, const S* weight, const S* bias, SequenceView<const S> x,
                      SequenceView<S> y) {
  const Index inputs = s.group_inputs(), outputs = s.group_outputs();
  const auto one = [&](Index b) {
    const Index count = s.transposed_time(x.length(b));
    for (Index t = 0; t < count; ++t) {
      if (bias != nullptr) {
        std::copy_n(bias, s.outputs, y.token(b, t));
      } else {
        std::fill_n(y.token(b, t), s.outputs, S{0});
      }
    }
    clear_behind(y, b, count);
    for (Index t = 0; t < x.length(b); ++t) {
      for (Index k = 0; k < s.kernel; ++k) {
        const Index to = t * s.stride + k * s.dilation - s.left;
        if (to < 0 || to >= count) continue;
        for (Index c = 0; c < s.inputs; ++c) {
          const S value = x.token(b, t)[c];
          const S* taps = weight + c * outputs * s.kernel + k;
          S* out = y.token(b, to) + c / inputs * outputs;
          for (Index o = 0; o < outputs; ++o) out[o] += taps[o * s.kernel] * value;
        }
      }
    }
  };
  parallel_for(x.batch, one);
}

}  // namespace stepscan::inline STEPSCAN_ISA
