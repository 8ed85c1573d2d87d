#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/simd.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The scalar product of two vectors of n numbers.
template <Scalar S>
[[nodiscard]] S dot(const S* a, const S* b, Index n) noexcept {
  constexpr Index width = simd_width<S>;
  Simd<S> partial(S{0});
  Index i = 0;
  for (; i + width <= n; i += width) partial = fma(load(a + i), load(b + i), partial);
  if (i < n) partial = fma(load_n(a + i, n - i), load_n(b + i, n - i), partial);
  return sum(partial);
}

/// y += a x, vectors of n numbers.
template <Scalar S>
void add_scaled(S a, const S* x, S* y, Index n) noexcept {
  for_each_lanes<S>(
      n, [&](Index i, auto lanes) { lanes.store(y + i, fma(Simd<S>(a), lanes.load(x + i), lanes.load(y + i))); });
}

/// y[r] += A x[r] for every row r, with A [outputs, inputs] as it lies in memory: for weights that are not packed.
template <Scalar S>
void plain_multiply_add(MatrixView<const S> a, MatrixView<const S> x, MatrixView<S> y) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    for (Index j = 0; j < a.rows; ++j) y(r, j) += dot(a.row(j), x.row(r), Index{a.cols});
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
