#pragma once

#include <cmath>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/view.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Every number of a tree uniform in +-1 / sqrt(fan), as torch.nn.Linear of `fan` inputs.
template <Tree T>
void fill_uniform(T& tree, Index fan, Random& random) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan));
  for_each_tensor(
      [&](const Path&, auto& tensor) {
        using S = typename std::remove_reference_t<decltype(tensor)>::value_type;
        for (S& value : tensor) value = static_cast<S>(random.uniform(-bound, bound));
      },
      tree);
}

/// What torch.nn.init.xavier_uniform_ makes of a weight [outputs, inputs], with this gain.
template <class S>
void fill_xavier(const MatrixView<S>& weight, double gain, Random& random) {
  const double bound = gain * std::sqrt(6 / static_cast<double>(weight.rows + weight.cols));
  for (Index i = 0; i < weight.rows; ++i) {
    for (Index j = 0; j < weight.cols; ++j) weight(i, j) = static_cast<S>(random.uniform(-bound, bound));
  }
}

/// Normal numbers of this standard deviation.
template <class S>
void fill_normal(const MatrixView<S>& weight, double deviation, Random& random) {
  for (Index i = 0; i < weight.rows; ++i) {
    for (Index j = 0; j < weight.cols; ++j) weight(i, j) = static_cast<S>(deviation * random.normal());
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
