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
  [[nodiscard]] constexpr std::array<std::uint32_t, 4> block(std::uint64_t i) const noexcept {
    std::uint32_t c0 = low(i), c1 = high(i), c2 = low(stream_), c3 = high(stream_);
    std::uint32_t k0 = low(seed_), k1 = high(seed_);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0;
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2;
      c0 = high(p1) ^ c1 ^ k0;
      c1 = low(p1);
      c2 = high(p0) ^ c3 ^ k1;
      c3 = low(p0);
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    return {c0, c1, c2, c3};
  }

  /// Which draw comes next, and a jump to it: what a checkpoint saves and restores.
  [[nodiscard]] constexpr std::uint64_t position() const noexcept { return position_; }
  constexpr void seek(std::uint64_t position) noexcept {
    position_ = position;
    fresh_ = false;
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x >> 32); }

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  bool fresh_ = false;
};

}  // namespace stepscan::inline STEPSCAN_ISA
