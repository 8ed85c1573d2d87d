#pragma once

#include <stepscan/layers/dss.hpp>
#include <stepscan/ops/s4d_init.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A the eigenvalues of positive frequency of the normal part of HiPPO-LegS of twice the size ("Skew-HiPPO", section
/// 4.2); real and imaginary parts of C standard normal, as the authors' code has them.
template <Scalar S, Index Features, Index StateSize, class Default>
struct Initialization<Dss<S, Features, StateSize, Default>> {
  using L = Dss<S, Features, StateSize, Default>;

  static void run(L& layer, Random& random) {
    const auto eigenvalues = s4d_init(S4dInit::legs, 2 * layer.modes());
    for (Index f = 0; f < layer.input_size(); ++f) {
      for (Index n = 0; n < layer.modes(); ++n) {
        const std::complex<double> eigenvalue = eigenvalues[static_cast<std::size_t>(n)];
        layer.A.re(f, n) = static_cast<S>(eigenvalue.real());
        layer.A.im(f, n) = static_cast<S>(eigenvalue.imag());
        layer.C.re(f, n) = static_cast<S>(random.normal());
        layer.C.im(f, n) = static_cast<S>(random.normal());
      }
      layer.log_dt[f] = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
      layer.D[f] = static_cast<S>(random.normal());
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
