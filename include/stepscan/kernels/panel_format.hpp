#pragma once

#include <cstdint>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/half.hpp>
#include <stepscan/kernels/simd.hpp>
#include <stepscan/kernels/tiling.hpp>

namespace stepscan::inline STEPSCAN_ISA {

inline constexpr ProductTile product_tile = solve_product_tile(target_machine);

/// Rows of a matrix in one panel.
template <Scalar S>
inline constexpr Index panel_rows{product_tile.vectors * simd_width<S>};

/// How one column of a panel lies in memory for each type of stored weights: where row i of the panel stands, and how
/// the column becomes registers.
template <Scalar S, class Stored>
struct PanelFormat {
  static constexpr Index position(Index row) noexcept { return row; }

  [[gnu::always_inline]] static void load_column(const Stored* column, Simd<S>* weights) noexcept {
    for (int v = 0; v < product_tile.vectors; ++v) weights[v] = load_stored<S>(column + v * simd_width<S>);
  }
};

/// Rows i and i + width share a 32-bit lane, the first in its lower half: a shift and a mask turn one register of
/// memory into two of float.
template <>
struct PanelFormat<float, BFloat16> {
  static_assert(product_tile.vectors % 2 == 0);
  static constexpr Index width = simd_width<float>;

  static constexpr Index position(Index row) noexcept {
    return row / (2 * width) * (2 * width) + 2 * (row % width) + row / width % 2;
  }

  [[gnu::always_inline]] static void load_column(const BFloat16* column, Simd<float>* weights) noexcept {
    for (int v = 0; v < product_tile.vectors; v += 2) {
      const auto pairs =
          Simd<std::uint32_t>::load_unaligned(reinterpret_cast<const std::uint32_t*>(column + v * width));
      weights[v] = detail::bit_cast_lanes<float>(pairs << 16);
      weights[v + 1] = detail::bit_cast_lanes<float>(pairs & Simd<std::uint32_t>(0xFFFF0000U));
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
