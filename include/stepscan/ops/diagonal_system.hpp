#pragma once

#include <complex>
#include <stepscan/ops/linear_system.hpp>
#include <stepscan/scan/planes.hpp>

/// Discretised diagonal systems, one per feature: with N complex modes
///   h_t[n] = a[n] h_(t-1)[n] + b[n] u_t,   y_t = Re sum_n c[n] h_t[n] + D u_t
/// A layer that keeps one mode of every conjugate pair has the factor 2 in c. The numbers are worked out in double, so
/// that the phase of a^l stays right for large l, and rounded to the layer's scalar where they are used.
namespace stepscan::inline STEPSCAN_ISA {

/// One mode.
struct SystemMode {
  std::complex<double> a;
  std::complex<double> c;
  std::complex<double> b = 1;
};

/// How the modes of all features lie in memory.
enum class ModeOrder {
  by_feature,  ///< planes [features, modes]: for the operators of a feature
  by_mode,     ///< planes [modes, features], channels contiguous: for steps
};

/// The modes of all features.
template <class T, ModeOrder Order>
struct ModePlanes {
  Index features = 0;
  Index modes = 0;
  Planes<const T*, 2> a{};
  Planes<const T*, 2> c{};
  Planes<const T*, 2> b{};  ///< null: all 1
  const T* skip = nullptr;  ///< D [features]

  [[nodiscard]] bool has_input() const noexcept { return b[0] != nullptr; }

  /// Numbers that the planes take.
  [[nodiscard]] static Index size(Index features, Index modes, bool has_input) noexcept {
    return features * (1 + modes * (has_input ? 6 : 4));
  }

  /// The planes of so many numbers at `memory`.
  [[nodiscard]] static ModePlanes at(Index features, Index modes, bool has_input, const T* memory) noexcept {
    const Index size = features * modes;
    ModePlanes planes{features, modes};
    planes.a = {memory, memory + size};
    planes.c = {memory + 2 * size, memory + 3 * size};
    if (has_input) planes.b = {memory + 4 * size, memory + 5 * size};
    planes.skip = memory + (has_input ? 6 : 4) * size;
    return planes;
  }

  /// Writes them, from mode(feature, n) and skip(feature).
  template <class Mode, class Skip>
  [[nodiscard]] static ModePlanes fill(Index features, Index modes, bool has_input, T* memory, const Mode& mode,
                                       const Skip& skip) noexcept {
    const Index size = features * modes;
    for (Index f = 0; f < features; ++f) {
      for (Index n = 0; n < modes; ++n) {
        T* to = memory + (Order == ModeOrder::by_feature ? f * modes + n : n * features + f);
        const SystemMode m = mode(f, n);
        const auto put = [&](Index plane, std::complex<double> value) {
          to[plane * size] = static_cast<T>(value.real());
          to[(plane + 1) * size] = static_cast<T>(value.imag());
        };
        put(0, m.a);
        put(2, m.c);
        if (has_input) put(4, m.b);
      }
      memory[(has_input ? 6 : 4) * size + f] = static_cast<T>(skip(f));
    }
    return at(features, modes, has_input, memory);
  }
};

/// From which the operators of a feature are made.
using DiagonalSystem = ModePlanes<double, ModeOrder::by_feature>;

/// What one token takes.
template <Scalar S>
using DiagonalStep = ModePlanes<S, ModeOrder::by_mode>;

[[nodiscard]] inline SystemShape system_shape(const DiagonalSystem& system, Index chunk) noexcept {
  return {system.features, 2 * system.modes, chunk};
}

}  // namespace stepscan::inline STEPSCAN_ISA
