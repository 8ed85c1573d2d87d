#pragma once

#include <algorithm>
#include <stepscan/ops/tokens.hpp>

/// Heads that share keys and values: query head h reads key and value head h div (heads / shared heads).
namespace stepscan::inline STEPSCAN_ISA {

/// Every head of `from` [rows, kv_heads * dim] as often as it is shared, in `to` [rows, heads * dim].
template <Scalar S>
void repeat_heads(MatrixView<const S> from, Index dim, MatrixView<S> to) noexcept {
  const Index shared = from.cols == 0 ? 1 : to.cols / from.cols;
  for (Index r = 0; r < from.rows; ++r) {
    for (Index h = 0; h < to.cols / dim; ++h) std::copy_n(from.row(r) + h / shared * dim, dim, to.row(r) + h * dim);
  }
}

/// The way back for cotangents: the sum over the heads that share.
template <Scalar S>
void sum_heads(MatrixView<const S> from, Index dim, MatrixView<S> to) noexcept {
  const Index shared = to.cols == 0 ? 1 : from.cols / to.cols;
  for (Index r = 0; r < from.rows; ++r) std::fill_n(to.row(r), Index{to.cols}, S{0});
  for (Index h = 0; h < from.cols / dim; ++h) {
    add_rows<S>(from.middle_cols(h * dim, dim), to.middle_cols(h / shared * dim, dim));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
