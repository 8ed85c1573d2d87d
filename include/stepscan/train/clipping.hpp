#pragma once

#include <cmath>
#include <stepscan/train/trees.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The Euclidean norm of all numbers of a tree. Neither overflows nor vanishes while the norm itself is a number of
/// type double. NaN when a number is NaN, infinite when one is infinite and none is NaN.
template <Tree T>
[[nodiscard]] double global_norm(const T& tree) {
  double most = 0;
  for_each_tensor(
      [&](const Path&, const auto& tensor) {
        most = std::max(most, static_cast<double>(largest_magnitude(tensor.size(), tensor.data())));
      },
      tree);
  // A power of two near the largest number, so that scaling is exact and squares stay in range.
  const double unit = most > 0 && std::isfinite(most) ? std::exp2(std::floor(std::log2(most))) : 1;
  double sum = 0;
  for_each_tensor(
      [&](const Path&, const auto& tensor) {
        using S = typename std::remove_cvref_t<decltype(tensor)>::value_type;
        sum += sum_of_squares(tensor.size(), static_cast<S>(1 / unit), tensor.data());
      },
      tree);
  return unit * std::sqrt(sum);
}

/// Scales a gradient down to the norm `most` when its global norm is larger (arXiv 1211.5063, algorithm 1). Returns the
/// norm it had. When that is not finite nothing can be scaled: the gradient stays as it is, and the caller, who sees
/// !std::isfinite(norm), skips the step. Throws ArgumentError unless `most` is positive.
template <Tree T>
double clip_by_global_norm(T& gradient, double most) {
  if (!(most > 0)) {
    fail<ArgumentError>("clip_by_global_norm: expected a positive norm, found " + std::to_string(most));
  }
  const double norm = global_norm(gradient);
  if (std::isfinite(norm) && norm > most) scale_tree(gradient, most / norm);
  return norm;
}

}  // namespace stepscan::inline STEPSCAN_ISA
