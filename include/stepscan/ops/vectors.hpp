#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/lanes.hpp>

/// Arithmetic on runs of numbers: the tensors of a model, its gradient, an average of it.
namespace stepscan::inline STEPSCAN_ISA {

/// Calls f(first, count) for blocks of n numbers, which are spread over threads where there are many.
template <class F>
void for_each_block(Index n, F&& f) {
  constexpr Index block = 1 << 13;
  constexpr Index shared = 1 << 16;
  parallel_for((n + block - 1) / block, n < shared ? 1 : max_threads(),
               [&](Index i) { f(i * block, std::min(block, n - i * block)); });
}

/// x *= factor
template <Scalar S>
void scale_numbers(Index n, S factor, S* x) noexcept {
  for_each_lanes<S>(n, [&](Index i, auto lanes) { lanes.store(x + i, Simd<S>(factor) * lanes.load(x + i)); });
}

/// y = a y + b x
template <Scalar S>
void blend_numbers(Index n, S a, S b, const S* x, S* y) noexcept {
  for_each_lanes<S>(n, [&](Index i, auto lanes) {
    lanes.store(y + i, fma(Simd<S>(b), lanes.load(x + i), Simd<S>(a) * lanes.load(y + i)));
  });
}

/// The largest |x_i|, 0 of no numbers; a NaN may be passed over.
template <Scalar S>
[[nodiscard]] S largest_magnitude(Index n, const S* x) noexcept {
  Simd<S> most(S{0});
  for_each_lanes<S>(n, [&](Index i, auto lanes) { most = max(most, abs(lanes.load(x + i))); });
  S values[static_cast<std::size_t>(simd_width<S>)];
  store(values, most);
  return *std::max_element(values, values + simd_width<S>);
}

/// The sum of (factor x_i)^2, rounded as S within blocks of 1024 and as double between them.
template <Scalar S>
[[nodiscard]] double sum_of_squares(Index n, S factor, const S* x) noexcept {
  constexpr Index block = 1024;
  double sum = 0;
  for (Index first = 0; first < n; first += block) {
    const auto squares = [&](Index i, auto lanes) {
      const Simd<S> scaled = Simd<S>(factor) * lanes.load(x + first + i);
      return std::array{scaled * scaled};
    };
    sum += static_cast<double>(sum_lanes<S, 1>(std::min(block, n - first), squares)[0]);
  }
  return sum;
}

}  // namespace stepscan::inline STEPSCAN_ISA
