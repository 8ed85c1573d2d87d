#pragma once

#include <complex>
#include <stepscan/core/scalar.hpp>
#include <unsupported/Eigen/FFT>

/// The Fourier transform to real sequences by Eigen's FFT module: the only header that includes it. Each thread keeps
/// the tables of the lengths that it has seen, so that a transform allocates the first time only.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <Scalar S>
[[nodiscard]] Eigen::FFT<S>& own_fft() {
  thread_local Eigen::FFT<S> fft = [] {
    Eigen::FFT<S> plain;
    plain.SetFlag(Eigen::FFT<S>::HalfSpectrum);
    return plain;
  }();
  return fft;
}

}  // namespace detail

/// x [n] from spectrum [n / 2 + 1], spectrum[k] = sum_t x[t] exp(-2 pi i k t / n). Only the real parts of spectrum[0]
/// and, for even n, of spectrum[n / 2] count.
template <Scalar S>
void inverse_real_fft(const std::complex<S>* spectrum, Index n, S* x) {
  detail::own_fft<S>().inv(x, spectrum, n);
}

}  // namespace stepscan::inline STEPSCAN_ISA
