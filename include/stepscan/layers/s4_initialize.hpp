#pragma once

#include <stepscan/layers/s4.hpp>
#include <stepscan/ops/hippo_normal.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// HiPPO-LegS in the eigenvectors V of its normal part (arXiv 2111.00396, theorem 1), of which those of positive
/// frequency are kept: Lambda the eigenvalues, P = V^H p, B = V^H b. The same system in every feature, seen through C
/// complex normal, at step sizes log-uniform in [0.001, 0.1]; D normal.
template <Scalar S, Index Features, Index StateSize, class Default>
struct Initialization<S4<S, Features, StateSize, Default>> {
  using L = S4<S, Features, StateSize, Default>;

  static void run(L& layer, Random& random) {
    const HippoSystem system = hippo(HippoMeasure::legs, layer.states());
    const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, layer.states(), 1);
    const auto P = form.coordinates(form.P.data()), B = form.coordinates(system.B.data());
    const auto put = [](auto& tensor, Index f, Index n, std::complex<double> value) {
      tensor.re(f, n) = static_cast<S>(value.real());
      tensor.im(f, n) = static_cast<S>(value.imag());
    };
    for (Index f = 0; f < layer.input_size(); ++f) {
      for (Index n = 0; n < layer.modes(); ++n) {
        const auto at = static_cast<std::size_t>(layer.modes() + n);
        put(layer.Lambda, f, n, form.lambda[layer.modes() + n]);
        put(layer.P, f, n, P[at]);
        put(layer.B, f, n, B[at]);
        const double re = random.normal();
        put(layer.C, f, n, std::complex<double>(re, random.normal()) * (std::numbers::sqrt2 / 2));
      }
      layer.log_dt[f] = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
      layer.D[f] = static_cast<S>(random.normal());
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
