#pragma once

#include <stepscan/ops/hippo_normal.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Eigenvalues that diagonal state spaces start from (S4D, arXiv 2206.11893, section 4; Quad from its reference code).
enum class S4dInit {
  lin,   ///< Im = pi n
  inv,   ///< Im = (N / pi) (N / (2n + 1) - 1)
  quad,  ///< Im = (2n + 1)^2 / pi
  legs,  ///< the positive imaginary parts of the normal part of LegS, ascending
};

/// Half of the conjugate pairs of a state of this size, n = 0 ... size / 2 - 1: Re = -1/2, Im by kind. Throws
/// ArgumentError for sizes below 2.
[[nodiscard]] inline std::vector<std::complex<double>> s4d_init(S4dInit kind, Index size) {
  using std::numbers::pi;
  if (size < 2) fail<ArgumentError>("s4d_init: expected a state size of at least 2, found " + std::to_string(size));
  std::vector<std::complex<double>> modes;
  if (kind == S4dInit::legs) {
    const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, size, 1);
    for (Index n = (size + 1) / 2; n < size; ++n) modes.push_back(form.lambda[n]);
    return modes;
  }
  const double N = static_cast<double>(size);
  for (Index n = 0; n < size / 2; ++n) {
    const double odd = static_cast<double>(2 * n + 1);
    const double frequency = kind == S4dInit::lin   ? pi * static_cast<double>(n)
                             : kind == S4dInit::inv ? N / pi * (N / odd - 1)
                                                    : odd * odd / pi;
    modes.emplace_back(-0.5, frequency);
  }
  return modes;
}

}  // namespace stepscan::inline STEPSCAN_ISA
