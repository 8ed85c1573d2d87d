#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/lanes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Causal convolutions of N numbers, y[t] = sum_(j <= t) k[t - j] u[j], of simd_width sequences at a time, one in each
/// lane. The polynomials k and u of degree N - 1 are multiplied modulo z^N - i: with p = k u = low + z^N high that
/// leaves low + i high, whose real part is y. So neither padding nor a transform of real numbers is needed: with
/// w^N = i, the values at z = w exp(-2 pi i n / N) are a complex Fourier transform of u[t] w^t ("right-angle"
/// convolution: Crandall and Pomerance, Prime Numbers, section 9.5.2).
///
/// Spectra are complex numbers [N, 2, simd_width], real parts before imaginary parts, in the order in which the passes
/// of radix 4 leave them: nothing is ever permuted. N is a power of 2. Nothing allocates.
template <Scalar S, Index N>
class LaneConvolution {
  static_assert(N > 1 && std::has_single_bit(static_cast<std::size_t>(N)));
  using V = Simd<S>;
  struct Complex {
    V re, im;
  };

 public:
  static constexpr Index width = simd_width<S>;
  /// Numbers of a spectrum.
  static constexpr Index spectrum_size = 2 * N * width;

  /// The tables, made once.
  [[nodiscard]] static const LaneConvolution& tables() noexcept {
    static const LaneConvolution made;
    return made;
  }

  /// Writes the spectrum of u[t], t = 0 ... count - 1, rows of lanes at the distance `stride`, and zeros behind them.
  template <class Lanes>
  void transform(const Lanes& lanes, const S* u, Index stride, Index count, S* spectrum) const noexcept {
    for (Index t = 0; t < count; ++t) {
      const V value = lanes.load(u + t * stride);
      put(spectrum, t, {value * turn(t).re, value * turn(t).im});
    }
    std::fill(spectrum + count * 2 * width, spectrum + spectrum_size, S{0});
    Index length = N;
    for (; length >= 4; length /= 4) pass<true>(spectrum, length);
    if (length == 2) pairs(spectrum);
  }

  /// product = a b; it may be a or b.
  static void multiply(const S* a, const S* b, S* product) noexcept {
    for (Index n = 0; n < N; ++n) put(product, n, times(get(a, n), get(b, n)));
  }

  /// Writes y[t], t = 0 ... count - 1, rows of simd_width numbers, from the product of two spectra, which is lost. The
  /// rows may lie where the product does.
  void finish(S* product, Index count, S* y) const noexcept {
    if (std::countr_zero(static_cast<std::size_t>(N)) % 2 != 0) pairs(product);
    for (Index length = std::countr_zero(static_cast<std::size_t>(N)) % 2 != 0 ? 8 : 4; length <= N; length *= 4) {
      pass<false>(product, length);
    }
    for (Index t = 0; t < count; ++t) {
      const Complex value = get(product, t);
      constexpr S scale = S{1} / static_cast<S>(N);
      store(y + t * width, fma(value.re, turn(t).re, value.im * turn(t).im) * V(scale));
    }
  }

 private:
  LaneConvolution() noexcept {
    for (Index n = 0; n < N; ++n) {
      const double part = static_cast<double>(n) / static_cast<double>(N) * std::numbers::pi;
      const auto at = static_cast<std::size_t>(2 * n);
      roots_[at] = static_cast<S>(std::cos(2 * part));
      roots_[at + 1] = static_cast<S>(-std::sin(2 * part));
      turns_[at] = static_cast<S>(std::cos(part / 2));
      turns_[at + 1] = static_cast<S>(std::sin(part / 2));
    }
  }

  [[nodiscard, gnu::always_inline]] static Complex get(const S* spectrum, Index n) noexcept {
    return {load(spectrum + 2 * n * width), load(spectrum + (2 * n + 1) * width)};
  }
  [[gnu::always_inline]] static void put(S* spectrum, Index n, Complex value) noexcept {
    store(spectrum + 2 * n * width, value.re);
    store(spectrum + (2 * n + 1) * width, value.im);
  }
  [[nodiscard, gnu::always_inline]] static Complex broadcast(const std::array<S, 2 * N>& table, Index n) noexcept {
    const auto at = static_cast<std::size_t>(2 * n);
    return {V(table[at]), V(table[at + 1])};
  }
  /// w^t
  [[nodiscard, gnu::always_inline]] Complex turn(Index t) const noexcept { return broadcast(turns_, t); }

  [[nodiscard, gnu::always_inline]] static Complex add(Complex a, Complex b) noexcept {
    return {a.re + b.re, a.im + b.im};
  }
  [[nodiscard, gnu::always_inline]] static Complex subtract(Complex a, Complex b) noexcept {
    return {a.re - b.re, a.im - b.im};
  }
  [[nodiscard, gnu::always_inline]] static Complex times(Complex a, Complex b) noexcept {
    return {fma(a.re, b.re, V(S{0}) - a.im * b.im), fma(a.re, b.im, a.im * b.re)};
  }
  [[nodiscard, gnu::always_inline]] static Complex times_conjugate(Complex a, Complex b) noexcept {
    return {fma(a.re, b.re, a.im * b.im), fnma(a.re, b.im, a.im * b.re)};
  }
  /// i a
  [[nodiscard, gnu::always_inline]] static Complex turned(Complex a) noexcept { return {V(S{0}) - a.im, a.re}; }

  /// The transforms of `length` numbers each become four of a quarter, or back again, times 4.
  template <bool Forward>
  void pass(S* z, Index length) const noexcept {
    const Index quarter = length / 4, step = N / length;
    for (Index j = 0; j < quarter; ++j) {
      const Complex one = broadcast(roots_, j * step), two = broadcast(roots_, 2 * j * step),
                    three = broadcast(roots_, 3 * j * step);
      for (Index first = j; first < N; first += length) {
        const Index at[] = {first, first + quarter, first + 2 * quarter, first + 3 * quarter};
        const Complex a = get(z, at[0]), b = get(z, at[1]), c = get(z, at[2]), d = get(z, at[3]);
        if constexpr (Forward) {
          const Complex even = add(a, c), odd = subtract(a, c), sum = add(b, d), rest = turned(subtract(b, d));
          put(z, at[0], add(even, sum));
          put(z, at[1], times(subtract(odd, rest), one));
          put(z, at[2], times(subtract(even, sum), two));
          put(z, at[3], times(add(odd, rest), three));
        } else {
          const Complex second = times_conjugate(b, one), third = times_conjugate(c, two);
          const Complex fourth = times_conjugate(d, three);
          const Complex even = add(a, third), sum = subtract(a, third), odd = add(second, fourth);
          const Complex rest = turned(subtract(second, fourth));
          put(z, at[0], add(even, odd));
          put(z, at[1], add(sum, rest));
          put(z, at[2], subtract(even, odd));
          put(z, at[3], subtract(sum, rest));
        }
      }
    }
  }

  /// The pass of radix 2 that is left where N is no power of 4; its own inverse, times 2.
  static void pairs(S* z) noexcept {
    for (Index n = 0; n < N; n += 2) {
      const Complex a = get(z, n), b = get(z, n + 1);
      put(z, n, add(a, b));
      put(z, n + 1, subtract(a, b));
    }
  }

  std::array<S, 2 * N> roots_;  ///< exp(-2 pi i n / N)
  std::array<S, 2 * N> turns_;  ///< w^t
};

}  // namespace stepscan::inline STEPSCAN_ISA
