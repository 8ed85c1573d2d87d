#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/ops/conv1d.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The way back of gather_windows: adds the rows to the tokens that they were gathered from.
template <Scalar S>
void scatter_windows(const Conv1dShape& s, MatrixView<const S> rows, Index group, Index first,
                     MatrixView<S> dx) noexcept {
  const Index inputs = s.group_inputs();
  for (Index r = 0; r < rows.rows; ++r) {
    for (Index k = 0; k < s.kernel; ++k) {
      const Index t = (first + r) * s.stride + k * s.dilation - s.left;
      if (t < 0 || t >= dx.rows) continue;
      S* to = dx.row(t) + group * inputs;
      for (Index c = 0; c < inputs; ++c) to[c] += rows(r, k * inputs + c);
    }
  }
}

/// Weights [outputs, inputs / groups, kernel] as [outputs, kernel, inputs / groups], as a window lies in memory.
template <Scalar S>
void taps_first(const Conv1dShape& s, const S* weight, S* taps) noexcept {
  const Index inputs = s.group_inputs();
  for (Index o = 0; o < s.outputs; ++o) {
    for (Index c = 0; c < inputs; ++c) {
      for (Index k = 0; k < s.kernel; ++k)
        taps[(o * s.kernel + k) * inputs + c] = weight[(o * inputs + c) * s.kernel + k];
    }
  }
}
/// The way back, added.
template <Scalar S>
void add_taps(const Conv1dShape& s, const S* taps, S* weight) noexcept {
  const Index inputs = s.group_inputs();
  for (Index o = 0; o < s.outputs; ++o) {
    for (Index c = 0; c < inputs; ++c) {
      for (Index k = 0; k < s.kernel; ++k)
        weight[(o * inputs + c) * s.kernel + k] += taps[(o * s.kernel + k) * inputs + c];
    }
  }
}

}  // namespace detail

/// The gradient of conv1d: from the cotangent dy of y adds to dweight [outputs, inputs / groups, kernel] and to dbias
/// [outputs] (or null), writes dx. Windows are gathered in blocks; each block is one product for the weights and one
/// for the windows' cotangents, which then go back to their tokens.
template <Scalar S>
void conv1d_backward(const Conv1dShape& s, const S* weight, SequenceView<const S> x, SequenceView<const S> dy,
                     S* dweight, S* dbias, SequenceView<S> dx, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index window = s.window(), outputs = s.group_outputs(), block = detail::conv1d_block;
  S* taps = workspace.take<S>(s.outputs * window);
  S* dtaps = workspace.take<S>(s.outputs * window);
  S* rows_memory = workspace.take<S>(2 * block * window);
  detail::taps_first(s, weight, taps);
  std::fill_n(dtaps, s.outputs * window, S{0});
  for (Index b = 0; b < x.batch; ++b) {
    const Index count = s.output_time(x.length(b));
    const auto own_x = x.member(b).middle_rows(0, x.length(b));
    const auto own_dx = dx.member(b).middle_rows(0, x.length(b));
    for (Index t = 0; t < x.length(b); ++t) std::fill_n(dx.token(b, t), s.inputs, S{0});
    clear_behind(dx, b, x.length(b));
    if (dbias != nullptr) add_rows_to<S>(dy.member(b).middle_rows(0, count), dbias);
    for (Index first = 0; first < count; first += block) {
      const Index rows = std::min(block, count - first);
      const MatrixView<S> windows(rows_memory, rows, window), dwindows(rows_memory + block * window, rows, window);
      for (Index group = 0; group < s.groups; ++group) {
        const auto own_dy = dy.member(b).middle_rows(first, rows).middle_cols(group * outputs, outputs);
        detail::gather_windows<S>(s, own_x, group, first, windows);
        gemm_add_left_transposed<S>({dtaps + group * outputs * window, outputs, window}, own_dy, windows);
        std::fill_n(dwindows.data, rows * window, S{0});
        gemm_add<S>(dwindows, own_dy, {taps + group * outputs * window, outputs, window});
        detail::scatter_windows<S>(s, dwindows, group, first, own_dx);
      }
    }
  }
  detail::add_taps(s, dtaps, dweight);
}

}  // namespace stepscan::inline STEPSCAN_ISA
