#pragma once

#include <cmath>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
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

}  // namespace stepscan::inline STEPSCAN_ISA::detail
