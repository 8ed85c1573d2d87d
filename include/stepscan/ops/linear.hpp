#pragma once

#include <algorithm>
#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/panels.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Multiply-adds below which a product is not worth a second thread.
inline constexpr Index shared_product_size = 1 << 18;

/// y_t = A x_t + b for every real token, A packed. Blocks of tokens are spread over threads.
template <Scalar S, Index Inputs, Index Outputs, class Stored>
void linear_tokens(const PanelsView<S, Outputs, Inputs, Stored>& a, const S* bias, SequenceView<const S, Inputs> x,
                   SequenceView<S, Outputs> y) {
  constexpr Index tokens = 64;
  const Index blocks = (x.time + tokens - 1) / tokens;
  const int threads = x.batch * x.time * a.rows * a.cols < shared_product_size ? 1 : max_threads();
  parallel_for(x.batch * blocks, threads, [&](Index i) {
    const Index b = i / blocks, first = i % blocks * tokens;
    const Index count = std::min(tokens, x.length(b) - first);
    if (count <= 0) return;
    a.multiply(x.member(b).middle_rows(first, count), {bias, count, Index{a.rows}, 0},
               y.member(b).middle_rows(first, count));
  });
  clear_padding(x, y);
}

/// The same for rows of one token each, with A [outputs, inputs] as it lies in memory; b may be null.
template <Scalar S>
void plain_linear(MatrixView<const S> a, const S* bias, MatrixView<const S> x, MatrixView<S> y) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    if (bias == nullptr) {
      std::fill_n(y.row(r), Index{y.cols}, S{0});
    } else {
      std::copy_n(bias, Index{y.cols}, y.row(r));
    }
  }
  plain_multiply_add<S>(a, x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
