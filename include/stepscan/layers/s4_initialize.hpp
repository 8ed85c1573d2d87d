#pragma once

#include <stepscan/layers/s4.hpp>
#include <stepscan/ops/hippo_normal.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// HiPPO-LegS in the eigenvectors V of its normal part, of positive frequency alone (section 3.1 and theorem 1):
/// Lambda its eigenvalues, P = V^H P_0, B = V^H B_0 with A = normal - P_0 P_0^T.
template <Scalar S, Index Features, Index StateSize, class Default>
struct Initialization<S4<S, Features, StateSize, Default>> {
  using L = S4<S, Features, StateSize, Default>;

  static void run(L& layer, Random& random) {
    const Index modes = layer.modes(), size = 2 * modes;
    const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, size, 1);
    const auto low_rank = form.coordinates(form.P.data());
    const auto input = form.coordinates(hippo(HippoMeasure::legs, size).B.data());
    const auto put = [](auto& tensor, Index f, Index n, std::complex<double> value) {
      tensor.re(f, n) = static_cast<S>(value.real());
      tensor.im(f, n) = static_cast<S>(value.imag());
    };
    for (Index f = 0; f < layer.input_size(); ++f) {
      for (Index n = 0; n < modes; ++n) {
        const auto kept = static_cast<std::size_t>(modes + n);
        put(layer.Lambda, f, n, form.lambda[modes + n]);
        put(layer.P, f, n, low_rank[kept]);
        put(layer.B, f, n, input[kept]);
        layer.C.re(f, n) = static_cast<S>(random.normal() * std::numbers::sqrt2 / 2);
        layer.C.im(f, n) = static_cast<S>(random.normal() * std::numbers::sqrt2 / 2);
      }
      layer.log_dt[f] = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
      layer.D[f] = static_cast<S>(random.normal());
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
