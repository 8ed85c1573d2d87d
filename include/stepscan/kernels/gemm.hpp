#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/kernels/transpose.hpp>

/// Large products of matrices that are used once, for backward passes. All add to C, which must not overlap A or B, and
/// run on the calling thread, which keeps the memory they pack into: a few MiB at most. Every number of C is one chain
/// of multiply-adds in the order of k: its bits do not depend on the other rows and columns.
///
/// They go through k in layers of the depth of a panel's slice. What of A and B then lies near each other is multiplied
/// as it lies (kernels/small_product.hpp). Otherwise B is packed into panels (kernels/panels.hpp) and the rows of A
/// pass by; those of a transposed A are turned first, as many as then stay in the second cache level.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// A matrix, or the transpose of the one that is stored.
template <Scalar S>
struct GemmFactor {
  MatrixView<const S> stored;
  bool transposed = false;

  /// Where rows [row, row + rows) and columns [col, col + cols) are stored.
  [[nodiscard]] MatrixView<const S> block(Index row, Index rows, Index col, Index cols) const noexcept {
    return transposed ? stored.middle_rows(col, cols).middle_cols(row, rows)
                      : stored.middle_rows(row, rows).middle_cols(col, cols);
  }
  [[nodiscard]] Factor<S> factor() const noexcept {
    return transposed ? transposed_factor<S>(stored) : stepscan::factor<S>(stored);
  }
};

/// C += A B of one layer, B packed so many columns at a time.
template <Scalar S>
[[gnu::noinline]] void gemm_packed(MatrixView<S> c, const GemmFactor<S>& a, const GemmFactor<S>& b, Index depth,
                                   Workspace& workspace) {
  constexpr Index most_columns = 1024;
  const Workspace::Scope scope(workspace);
  const Index width = std::min(most_columns, Index{c.cols});
  const Index most_rows = a.transposed ? solve_passing_rows(depth * static_cast<Index>(sizeof(S))) : Index{c.rows};
  S* const panels = workspace.take<S>(packed_size<S>(width, depth));
  S* const turned = workspace.take<S>(a.transposed ? std::min(most_rows, Index{c.rows}) * depth : 0);
  for (Index j = 0; j < c.cols; j += width) {
    const PanelsView<S> packed{panels, std::min(width, c.cols - j), depth};
    const Index last = packed_size<S>(packed.rows, depth) - panel_rows<S> * depth;
    std::fill_n(panels + last, panel_rows<S> * depth, S{0});
    const MatrixView<const S> right = b.block(0, depth, j, packed.rows);
    b.transposed ? pack_rows<S>(panels, depth, right, 0) : pack_transposed<S>(panels, depth, right, 0);
    for (Index i = 0; i < c.rows; i += most_rows) {
      const Index rows = std::min(most_rows, c.rows - i);
      MatrixView<const S> left = a.block(i, rows, 0, depth);
      if (a.transposed) {
        transpose<S>(left, {turned, rows, depth});
        left = {turned, rows, depth};
      }
      packed.multiply_add(left, c.middle_rows(i, rows).middle_cols(j, packed.rows));
    }
  }
}

/// Memory of the calling thread's products.
[[nodiscard]] inline Workspace& gemm_workspace() noexcept {
  thread_local Workspace workspace;
  return workspace;
}

/// C += A B with A [rows of C, depth].
template <Scalar S>
void gemm(MatrixView<S> c, const GemmFactor<S>& a, const GemmFactor<S>& b, Index depth) {
  if (c.cols == 0 || depth == 0) return;
  constexpr Index bytes = static_cast<Index>(sizeof(S)), most_height = solve_panel_slice(panel_rows<S> * bytes);
  const Index layers = (depth + most_height - 1) / most_height, height = (depth + layers - 1) / layers;
  const auto lies_near = [&](const GemmFactor<S>& factor) {
    return height * factor.stored.stride * bytes <= target_machine.l2_bytes / 2;
  };
  const bool as_it_lies =
      !b.transposed && (c.rows <= product_tile.rows || lies_near(b)) && (!a.transposed || lies_near(a));
  for (Index k = 0; k < depth; k += height) {
    const Index count = std::min(height, depth - k);
    const GemmFactor<S> left{a.block(0, c.rows, k, count), a.transposed},
        right{b.block(k, count, 0, c.cols), b.transposed};
    if (as_it_lies) {
      small_multiply_add<S>(left.factor(), right.stored, c);
    } else {
      gemm_packed<S>(c, left, right, count, gemm_workspace());
    }
  }
}

/// C += A^T B for a C of few columns, by C^T += B^T A: its long rows then fill registers.
template <Scalar S>
void gemm_turned(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  Workspace& workspace = gemm_workspace();
  const Workspace::Scope scope(workspace);
  const MatrixView<S> turned = workspace.matrix<S, Dynamic>(c.cols, c.rows);
  transpose<S>(c, turned);
  gemm<S>(turned, {b, true}, {a}, a.rows);
  transpose<S>(turned, c);
}

}  // namespace detail

/// C [m, n] += A [m, k] B [k, n]
template <Scalar S>
void gemm_add(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.rows && a.cols == b.rows && c.cols == b.cols);
  detail::gemm<S>(c, {a}, {b}, a.cols);
}

/// C [m, n] += A^T B with A [k, m] and B [k, n]
template <Scalar S>
void gemm_add_left_transposed(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.cols && a.rows == b.rows && c.cols == b.cols);
  if (c.cols <= product_tile.rows && c.cols < c.rows) {
    detail::gemm_turned<S>(c, a, b);
  } else {
    detail::gemm<S>(c, {a, true}, {b}, a.rows);
  }
}

/// C [m, n] += A B^T with A [m, k] and B [n, k]
template <Scalar S>
void gemm_add_right_transposed(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.rows && a.cols == b.cols && c.cols == b.rows);
  detail::gemm<S>(c, {a}, {b, true}, a.cols);
}

}  // namespace stepscan::inline STEPSCAN_ISA
