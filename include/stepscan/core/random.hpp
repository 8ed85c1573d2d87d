#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <stepscan/core/config.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A counter-based random generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011). Draw i of stream s under a seed is a pure function of (seed, s, i): the same on every platform,
/// for any number of threads, and open to a jump to any place.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept : seed_(seed), stream_(stream) {}

  /// 32 random bits; the next call gives the next draw.
  constexpr std::uint32_t bits() noexcept {
    const std::uint64_t i = position_++;
    if (i % 4 == 0 || !fresh_) {
      block_ = block(i / 4);
      fresh_ = true;
    }
    return block_[i % 4];
  }

  /// Uniform in [0, 1), a multiple of 2^-24: exact in float.
  constexpr double uniform() noexcept { return static_cast<double>(bits() >> 8) * 0x1p-24; }

  /// Uniform in [low, high).
  constexpr double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }

  /// Standard normal, by Box and Muller. Goes through std::log and std::cos, so platforms may differ in the last bit.
  double normal() noexcept {
    const double u = 1.0 - uniform();
    const double angle = 2.0 * std::numbers::pi * uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(angle);
  }

  /// Uniform in {0, ..., count - 1}; the bias is below count / 2^32.
  constexpr std::uint32_t below(std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{bits()} * count) >> 32);
  }

  /// The 32 random bits of draws 4 i, ..., 4 i + 3, whatever was drawn before.
  [[nodiscard]] constexpr std::array<std::uint32_t, 4> block(std::uint64_t i) const noexcept { return blocks<1>(i); }

  /// Blocks i, ..., i + N - 1 side by side: draw j of block i + k stands at j N + k. The loops over k become vectors,
  /// unless the compiler unrolls them before it looks.
  template <std::size_t N>
  [[nodiscard]] constexpr std::array<std::uint32_t, 4 * N> blocks(std::uint64_t i) const noexcept {
    std::array<std::uint32_t, N> c0{}, c1{}, c2{}, c3{}, high0{}, high1{}, low0{}, low1{};
    for (std::size_t k = 0; k < N; ++k) {
      c0[k] = low(i + k);
      c1[k] = high(i + k);
      c2[k] = low(stream_);
      c3[k] = high(stream_);
    }
    std::uint32_t k0 = low(seed_), k1 = high(seed_);
    for (int round = 0; round < 10; ++round) {
      multiply(0xD2511F53U, c0, high0, low0);
      multiply(0xCD9E8D57U, c2, high1, low1);
#pragma GCC unroll 1
      for (std::size_t k = 0; k < N; ++k) {
        c0[k] = high1[k] ^ c1[k] ^ k0;
        c1[k] = low1[k];
        c2[k] = high0[k] ^ c3[k] ^ k1;
        c3[k] = low0[k];
      }
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    std::array<std::uint32_t, 4 * N> draws{};
    for (std::size_t k = 0; k < N; ++k) {
      draws[k] = c0[k];
      draws[N + k] = c1[k];
      draws[2 * N + k] = c2[k];
      draws[3 * N + k] = c3[k];
    }
    return draws;
  }

  [[nodiscard]] constexpr std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] constexpr std::uint64_t stream() const noexcept { return stream_; }
  /// Which draw comes next, and a jump to it: with seed and stream what a checkpoint saves and restores.
  [[nodiscard]] constexpr std::uint64_t position() const noexcept { return position_; }
  constexpr void seek(std::uint64_t position) noexcept {
    position_ = position;
    fresh_ = false;
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x >> 32); }

  /// Both halves of factor * x.
  template <std::size_t N>
  static constexpr void multiply(std::uint32_t factor, const std::array<std::uint32_t, N>& x,
                                 std::array<std::uint32_t, N>& upper, std::array<std::uint32_t, N>& lower) noexcept {
#pragma GCC unroll 1
    for (std::size_t k = 0; k < N; ++k) {
      upper[k] = high(std::uint64_t{factor} * x[k]);
      lower[k] = factor * x[k];
    }
  }

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  bool fresh_ = false;
};

}  // namespace stepscan::inline STEPSCAN_ISA
