#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/ops/softmax_row.hpp>

/// Several candidates for one token, side by side in one row [f_1 | f_2 | ...], each as long as y: their sum, and their
/// average by a gate,
///   y = sum_i f_i,   y = sum_i w_i f_i,   w = softmax(scores).
namespace stepscan::inline STEPSCAN_ISA {

/// One y of `count` candidates; weights null: their sum.
template <Scalar S>
void weighted_sum(const S* candidates, const S* weights, Index count, S* y, Index features) noexcept {
  std::fill_n(y, features, S{0});
  for (Index i = 0; i < count; ++i) {
    add_scaled<S>(weights == nullptr ? S{1} : weights[i], candidates + i * features, y, features);
  }
}

/// From dy: the cotangents w_i dy of the candidates, and in the place of the weights those of the scores,
///   dscore_i = w_i (<dy, f_i> - sum_j w_j <dy, f_j>).
template <Scalar S>
void gated_average_backward(const S* candidates, S* weights, Index count, const S* dy, Index features,
                            S* dcandidates) noexcept {
  S mean{0};
  for (Index i = 0; i < count; ++i) mean += weights[i] * dot<S>(dy, candidates + i * features, features);
  for (Index i = 0; i < count; ++i) {
    const S* const candidate = candidates + i * features;
    std::fill_n(dcandidates + i * features, features, S{0});
    add_scaled<S>(weights[i], dy, dcandidates + i * features, features);
    weights[i] *= dot<S>(dy, candidate, features) - mean;
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
