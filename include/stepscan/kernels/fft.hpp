#pragma once

#include <bit>
#include <complex>
#include <stepscan/core/scalar.hpp>
#include <unsupported/Eigen/FFT>

/// Fourier transforms of real sequences by Eigen's FFT module: the only header that includes it. Each thread keeps the
/// tables of the lengths that it has seen, so that a transform allocates the first time only.
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

/// The length of transforms with which two sequences of `length` numbers are convolved: a power of 2 that leaves room
/// for the whole product.
[[nodiscard]] constexpr Index convolution_length(Index length) noexcept {
  return static_cast<Index>(std::bit_ceil(static_cast<std::size_t>(length < 2 ? 4 : 2 * length)));
}

/// spectrum [n / 2 + 1], spectrum[k] = sum_t x[t] exp(-2 pi i k t / n).
template <Scalar S>
void real_fft(const S* x, Index n, std::complex<S>* spectrum) {
  detail::own_fft<S>().fwd(spectrum, x, n);
}

/// x [n], the inverse of real_fft. Only the real parts of spectrum[0] and, for even n, of spectrum[n / 2] count.
template <Scalar S>
void inverse_real_fft(const std::complex<S>* spectrum, Index n, S* x) {
  detail::own_fft<S>().inv(x, spectrum, n);
}

}  // namespace stepscan::inline STEPSCAN_ISA
