#pragma once

#include <algorithm>
#include <cmath>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The softmax of a row of scores, in its place; exact zeros where a score lies far below the largest.
template <Scalar S>
void softmax_row(S* scores, Index count) noexcept {
  const S largest = *std::max_element(scores, scores + count);
  S sum{0};
  for (Index i = 0; i < count; ++i) sum += scores[i] = std::exp(scores[i] - largest);
  for (Index i = 0; i < count; ++i) scores[i] /= sum;
}

/// Its logarithm, in its place.
template <Scalar S>
void log_softmax_row(S* scores, Index count) noexcept {
  const S largest = *std::max_element(scores, scores + count);
  S sum{0};
  for (Index i = 0; i < count; ++i) sum += std::exp(scores[i] - largest);
  const S log_sum = largest + std::log(sum);
  for (Index i = 0; i < count; ++i) scores[i] -= log_sum;
}

}  // namespace stepscan::inline STEPSCAN_ISA
