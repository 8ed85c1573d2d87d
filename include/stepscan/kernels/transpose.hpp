#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/simd.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class S>
concept HasX86Transpose = requires(const S* from, S* to) {
  x86::transpose_block(from, Index{1}, to, Index{1});
};

}  // namespace detail

/// to [cols, rows] = the transpose of from, in blocks of registers where the instruction set has shuffles for them.
template <Scalar S>
void transpose(MatrixView<const S> from, MatrixView<S> to) noexcept {
  STEPSCAN_ASSERT(from.rows == to.cols && from.cols == to.rows);
  constexpr bool in_blocks = detail::HasX86Transpose<S>;
  constexpr Index block = in_blocks ? 32 / static_cast<Index>(sizeof(S)) : 1;
  const Index whole_rows = in_blocks ? from.rows / block * block : 0, whole_cols = from.cols / block * block;
  if constexpr (in_blocks) {
    for (Index i = 0; i < whole_rows; i += block) {
      for (Index j = 0; j < whole_cols; j += block) {
        detail::x86::transpose_block(from.row(i) + j, from.stride, to.row(j) + i, to.stride);
      }
      for (Index j = whole_cols; j < from.cols; ++j) {
        for (Index r = i; r < i + block; ++r) to(j, r) = from(r, j);
      }
    }
  }
  for (Index i = whole_rows; i < from.rows; ++i) {
    for (Index j = 0; j < from.cols; ++j) to(j, i) = from(i, j);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
