#pragma once

#include <algorithm>
#include <cmath>
#include <stepscan/core/random.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The bias of a step size of which softplus is log-uniform in [0.001, 0.1] (Mamba, Mamba-2):
///   softplus^-1(x) = x + log(-expm1(-x))
[[nodiscard]] inline double random_step_bias(Random& random) {
  const double step = std::max(std::exp(random.uniform(std::log(0.001), std::log(0.1))), 1e-4);
  return step + std::log(-std::expm1(-step));
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
