#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/panel_format.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/kernels/transpose.hpp>

/// Products of small matrices that are used once, such as the tokens of a chunk with a state: nothing is packed.
///
/// c [m, n] and b [k, n] are row-major; a [m, k] is read one number at a time, so any strides will do, a transpose's
/// too. Every number of c is one chain of multiply-adds in the order of k: its bits do not depend on the other rows and
/// columns that are computed with it.
namespace stepscan::inline STEPSCAN_ISA {

/// The left factor of a product: rows and columns at any stride.
template <Scalar S>
struct Factor {
  const S* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;
  Index col_stride = 1;
};

template <Scalar S>
[[nodiscard]] constexpr Factor<S> factor(MatrixView<const S> a) noexcept {
  return {a.data, a.rows, a.cols, a.stride, 1};
}
template <Scalar S>
[[nodiscard]] constexpr Factor<S> transposed_factor(MatrixView<const S> a) noexcept {
  return {a.data, a.cols, a.rows, 1, a.stride};
}

/// Which numbers of a square matrix count: all, or those with row >= column (lower) or row <= column (upper). What does
/// not count may be skipped or taken along: in a factor it has to be zero, in a result it is undefined.
enum class Part { all, lower, upper };

/// What a product is added to: nothing, c itself, or c with row i multiplied by scale[i * stride].
template <Scalar S>
struct ProductBase {
  bool keeps = false;
  const S* scale = nullptr;
  Index stride = 1;
};

namespace detail {

template <int Rows, int Vectors, bool Full, Scalar S>
[[gnu::always_inline]] inline void small_tile(const S* a, Index row_stride, Index col_stride, const S* b,
                                              Index b_stride, Index depth, ProductBase<S> base, S* c, Index c_stride,
                                              Index columns) noexcept {
  constexpr Index width = simd_width<S>;
  const auto get = [&](const S* from, int v) __attribute__((always_inline)) {
    return Full ? load(from + v * width) : load_n(from, columns);
  };
  Simd<S> sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      if (!base.keeps) {
        sum[r][v] = Simd<S>(S{0});
      } else {
        sum[r][v] = get(c + r * c_stride, v);
        if (base.scale != nullptr) sum[r][v] = sum[r][v] * Simd<S>(base.scale[r * base.stride]);
      }
    }
  }
  for (Index k = 0; k < depth; ++k) {
    Simd<S> right[Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) right[v] = get(b + k * b_stride, v);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Simd<S> left(a[r * row_stride + k * col_stride]);
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) sum[r][v] = fma(right[v], left, sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      if constexpr (Full) {
        store(c + r * c_stride + v * width, sum[r][v]);
      } else {
        store_n(c + r * c_stride, sum[r][v], columns);
      }
    }
  }
}

/// How many registers of columns `rows` rows are multiplied with at a time: up to four, where the registers hold them
/// beside the sums and one broadcast number. A single row's multiply-adds read them from memory themselves.
[[nodiscard]] constexpr int small_tile_vectors(int rows) noexcept {
  if (rows == 1) return 8;
  int vectors = product_tile.vectors;
  while (vectors < 4 && (rows + 1) * (vectors + 1) + 1 <= target_machine.vector_registers) ++vectors;
  return vectors;
}

/// The columns [0, columns) of `Rows` rows.
template <int Rows, Scalar S>
[[gnu::noinline]] void small_rows(const S* a, Index row_stride, Index col_stride, const S* b, Index b_stride,
                                  Index depth, ProductBase<S> base, S* c, Index c_stride, Index columns) noexcept {
  constexpr Index width = simd_width<S>;
  constexpr int wide = small_tile_vectors(Rows), usual = product_tile.vectors;
  Index j = 0;
  for (; j + wide * width <= columns; j += wide * width) {
    small_tile<Rows, wide, true>(a, row_stride, col_stride, b + j, b_stride, depth, base, c + j, c_stride, columns - j);
  }
  if constexpr (wide > usual) {
    for (; j + usual * width <= columns; j += usual * width) {
      small_tile<Rows, usual, true>(a, row_stride, col_stride, b + j, b_stride, depth, base, c + j, c_stride,
                                    columns - j);
    }
  }
  for (; j + width <= columns; j += width) {
    small_tile<Rows, 1, true>(a, row_stride, col_stride, b + j, b_stride, depth, base, c + j, c_stride, columns - j);
  }
  if (j < columns) {
    small_tile<Rows, 1, false>(a, row_stride, col_stride, b + j, b_stride, depth, base, c + j, c_stride, columns - j);
  }
}

}  // namespace detail

/// c = base + a b. `of_a` says which numbers of a square a are not zero, `of_c` which of a square c are wanted.
template <Scalar S>
void small_multiply(const Factor<S>& a, MatrixView<const S> b, MatrixView<S> c, ProductBase<S> base = {},
                    Part of_a = Part::all, Part of_c = Part::all) noexcept {
  STEPSCAN_ASSERT(a.rows == c.rows && a.cols == b.rows && b.cols == c.cols);
  constexpr int most = product_tile.rows;
  const Index groups = (a.rows + most - 1) / most;
  for (Index group = 0; group < groups; ++group) {
    const Index first = a.rows * group / groups, end = a.rows * (group + 1) / groups;
    const Index k_begin = of_a == Part::upper ? first : 0, k_end = of_a == Part::lower ? end : a.cols;
    const Index j_begin = of_c == Part::upper ? first : 0;
    const Index whole = (end + simd_width<S> - 1) / simd_width<S> * simd_width<S>;
    const Index j_end = of_c == Part::lower ? std::min(whole, Index{c.cols}) : Index{c.cols};
    ProductBase<S> own = base;
    if (base.scale != nullptr) own.scale += first * base.stride;
    const bool empty = k_end == k_begin;  // then a and b may be nowhere
    const S* left = empty ? nullptr : a.data + first * a.row_stride + k_begin * a.col_stride;
    const S* right = empty ? c.data : b.row(k_begin) + j_begin;
    detail::with_constant<most, 1>(static_cast<int>(end - first), [&](auto rows) {
      detail::small_rows<rows, S>(left, a.row_stride, a.col_stride, right, b.stride, k_end - k_begin, own,
                                  c.row(first) + j_begin, c.stride, j_end - j_begin);
    });
  }
}

/// c += a b.
template <Scalar S>
void small_multiply_add(const Factor<S>& a, MatrixView<const S> b, MatrixView<S> c, Part of_a = Part::all,
                        Part of_c = Part::all) noexcept {
  small_multiply<S>(a, b, c, {.keeps = true}, of_a, of_c);
}

}  // namespace stepscan::inline STEPSCAN_ISA
