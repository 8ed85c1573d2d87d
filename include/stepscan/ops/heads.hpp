#pragma once

#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The cotangents of what heads in a row share (HeadSharing, ops/decay_chunk.hpp), from those that a backward pass
/// wrote for every head: `to` [rows, heads / n * dim] gets the sum over the n heads that share, of `from`
/// [rows, heads * dim], rows of one token each.
template <Scalar S>
void sum_heads(MatrixView<const S> from, Index dim, MatrixView<S> to) noexcept {
  const Index shared = to.cols == 0 ? 1 : from.cols / to.cols;
  for (Index r = 0; r < to.rows; ++r) std::fill_n(to.row(r), Index{to.cols}, S{0});
  for (Index h = 0; h * dim < from.cols; ++h) {
    add_rows<S>(from.middle_cols(h * dim, dim), to.middle_cols(h / shared * dim, dim));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
