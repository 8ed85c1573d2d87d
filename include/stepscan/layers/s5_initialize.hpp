#pragma once

#include <stepscan/layers/s5.hpp>
#include <stepscan/ops/hippo_normal.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// With Lambda and V the eigenvalues and eigenvectors of the normal part of HiPPO-LegS, block-diagonal, of positive
/// frequency alone if conj_sym:   B = V^H B_0,   C = C_0 V,   B_0 and the real and imaginary parts of C_0 normal
/// with a variance of 1 / fan-in, as the authors' code has them.
template <Scalar S, Index Features, Index StateSize, bool BothWays, class Default>
struct Initialization<S5<S, Features, StateSize, BothWays, Default>> {
  using L = S5<S, Features, StateSize, BothWays, Default>;
  using Complex = std::complex<double>;

  static void run(L& layer, Random& random) {
    const Index states = layer.state_size(), features = layer.input_size(), blocks = layer.options.blocks;
    if (blocks < 1 || states % blocks != 0) {
      fail<ArgumentError>("S5: expected the " + std::to_string(states) + " states in blocks of one size, found " +
                          std::to_string(blocks) + " blocks");
    }
    const Index kept = states / blocks, size = layer.options.conj_sym ? 2 * kept : kept, skipped = size - kept;
    const NormalPlusLowRank form = hippo_normal(HippoMeasure::legs, size, 1);
    const double input_scale = 1 / std::sqrt(static_cast<double>(features));
    const double output_scale = 1 / std::sqrt(static_cast<double>(size * blocks));
    std::vector<Complex> fresh(static_cast<std::size_t>(size));
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    const auto put = [](auto& tensor, Index i, Index j, Complex value) {
      tensor.re(i, j) = static_cast<S>(value.real());
      tensor.im(i, j) = static_cast<S>(value.imag());
    };
    for (Index block = 0; block < blocks; ++block) {
      for (Index p = 0; p < kept; ++p) {
        layer.Lambda.re[block * kept + p] = static_cast<S>(form.lambda[skipped + p].real());
        layer.Lambda.im[block * kept + p] = static_cast<S>(form.lambda[skipped + p].imag());
      }
      for (Index f = 0; f < features; ++f) {
        for (Complex& value : fresh) value = input_scale * random.normal();
        for (Index p = 0; p < kept; ++p) {
          Complex sum = 0;
          for (Index n = 0; n < size; ++n) sum += std::conj(form.V(n, skipped + p)) * fresh[at(n)];
          put(layer.B, block * kept + p, f, sum);
        }
        for (Index direction = 0; direction < layer.C.re.extent(1) / states; ++direction) {
          for (Complex& value : fresh) {
            const double re = random.normal();
            value = output_scale * Complex(re, random.normal());
          }
          for (Index p = 0; p < kept; ++p) {
            Complex sum = 0;
            for (Index n = 0; n < size; ++n) sum += fresh[at(n)] * form.V(n, skipped + p);
            put(layer.C, f, direction * states + block * kept + p, sum);
          }
        }
      }
    }
    for (S& value : layer.log_step) value = static_cast<S>(random.uniform(std::log(0.001), std::log(0.1)));
    for (S& value : layer.D) value = static_cast<S>(random.normal());
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
