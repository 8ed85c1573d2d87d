#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/kernels/math_exp2.hpp>
#include <stepscan/kernels/math_turns.hpp>
#include <stepscan/scan/planes.hpp>

/// How a selective scan lies in registers and memory. Lanes are channels: a strip of a few registers of them runs
/// through the tokens while its states [state_size, lanes] stay in the nearest cache, and the B and C that its group
/// shares are broadcast. Strips of one group that follow each other make a block, the work of one thread; how channels
/// are cut follows from sizes alone. Complex states are two planes (P = 2) of everything that real ones are one of.
namespace stepscan::inline STEPSCAN_ISA {

/// The registers, and channels, of a strip.
inline constexpr int selective_registers = 2;
template <Scalar S>
inline constexpr Index selective_lanes{selective_registers * simd_width<S>};

/// Channels [first, first + count) of one group: a strip, or several that follow each other.
struct SelectiveStrip {
  Index first = 0;
  Index count = 0;
  Index group = 0;
};

struct SelectiveLayout {
  Index features = 0;
  Index state_size = 0;
  Index groups = 1;
  Index lanes = 1;
  Index strips_per_block = 1;
  Index blocks_per_group = 1;

  template <Scalar S>
  [[nodiscard]] static constexpr SelectiveLayout of(Index features, Index state_size, Index groups) noexcept {
    constexpr Index most_blocks = 16;
    SelectiveLayout layout{features, state_size, groups, selective_lanes<S>};
    const Index strips = (features / groups + layout.lanes - 1) / layout.lanes;
    layout.strips_per_block = std::max<Index>((strips * groups + most_blocks - 1) / most_blocks, 1);
    layout.blocks_per_group = (strips + layout.strips_per_block - 1) / layout.strips_per_block;
    return layout;
  }

  [[nodiscard]] constexpr Index blocks() const noexcept { return groups * blocks_per_group; }
  /// Numbers of one state per channel of a strip, of a block.
  [[nodiscard]] constexpr Index strip_size() const noexcept { return state_size * lanes; }
  [[nodiscard]] constexpr Index block_size() const noexcept { return strips_per_block * strip_size(); }

  /// Strip j of a block; count is 0 behind the last one of the group.
  [[nodiscard]] constexpr SelectiveStrip strip(Index block, Index j) const noexcept {
    const Index group = block / blocks_per_group, channels = features / groups;
    const Index first = (block % blocks_per_group * strips_per_block + j) * lanes;
    return {group * channels + first, std::clamp<Index>(channels - first, 0, lanes), group};
  }
  /// All channels of a block.
  [[nodiscard]] constexpr SelectiveStrip channels(Index block) const noexcept {
    const SelectiveStrip begin = strip(block, 0);
    const Index end = (begin.group + 1) * (features / groups);
    return {begin.first, std::min(strips_per_block * lanes, end - begin.first), begin.group};
  }
  /// Calls f(channels, number of the first strip) for all channels, in runs of at most so many strips.
  template <class F>
  constexpr void for_each_run(Index strips, F&& f) const {
    const Index per_group = features / groups;
    for (Index group = 0; group < groups; ++group) {
      const Index number = group * blocks_per_group * strips_per_block;
      for (Index first = 0; first < per_group; first += strips * lanes) {
        const Index count = std::min(strips * lanes, per_group - first);
        f(SelectiveStrip{group * per_group + first, count, group}, number + first / lanes);
      }
    }
  }
  /// Calls f(strip, its number) for the strips of a block.
  template <class F>
  constexpr void for_each_strip(Index block, F&& f) const {
    for (Index j = 0; j < strips_per_block; ++j) {
      const SelectiveStrip s = strip(block, j);
      if (s.count > 0) f(s, block * strips_per_block + j);
    }
  }
  template <class F>
  constexpr void for_each_strip(F&& f) const {
    for (Index block = 0; block < blocks(); ++block) for_each_strip(block, f);
  }
};

/// One number per channel of a strip.
template <Scalar S>
using SelectiveLanes = std::array<Simd<S>, selective_registers>;

/// Calls f(r) for the registers of a strip.
template <class F>
[[gnu::always_inline]] constexpr void for_each_register(F&& f) {
#pragma GCC unroll 4
  for (std::size_t r = 0; r < selective_registers; ++r) f(r);
}

/// `count` numbers, zeros behind them. Touches no memory behind the last one.
template <Scalar S>
[[nodiscard, gnu::always_inline]] inline SelectiveLanes<S> load_channels(const S* p, Index count) noexcept {
  constexpr Index width = simd_width<S>;
  SelectiveLanes<S> x;
  if (count == selective_lanes<S>) [[likely]] {
    for (Index r = 0; r < selective_registers; ++r) x[static_cast<std::size_t>(r)] = load(p + r * width);
  } else {
    for (Index r = 0; r < selective_registers; ++r) {
      const Index inside = std::clamp<Index>(count - r * width, 0, width);
      x[static_cast<std::size_t>(r)] = inside > 0 ? load_n(p + r * width, inside) : Simd<S>(S{0});
    }
  }
  return x;
}
template <Scalar S>
[[gnu::always_inline]] inline void store_channels(S* p, const SelectiveLanes<S>& x, Index count) noexcept {
  constexpr Index width = simd_width<S>;
  if (count == selective_lanes<S>) [[likely]] {
    for (Index r = 0; r < selective_registers; ++r) store(p + r * width, x[static_cast<std::size_t>(r)]);
  } else {
    for (Index r = 0; r < selective_registers; ++r) {
      const Index inside = std::clamp<Index>(count - r * width, 0, width);
      if (inside > 0) store_n(p + r * width, x[static_cast<std::size_t>(r)], inside);
    }
  }
}

/// A parameter, planes [features, state_size], as it lies in memory, and perhaps as strips [P, state_size, lanes] one
/// behind the other: scale a, or with `of_logarithm` -scale exp(a). With `largest`, a strip has one more row: the
/// largest |value| of each channel in the first plane.
template <Scalar S, std::size_t P = 1>
struct SelectiveMatrix {
  Planes<MatrixView<const S>, P> plain;
  Planes<S, P> scale = unscaled();
  bool largest = false;
  const S* packed = nullptr;
  bool of_logarithm = false;

  [[nodiscard]] Index states() const noexcept { return plain[0].cols; }
  [[nodiscard]] Index rows() const noexcept { return static_cast<Index>(P) * states() + (largest ? 1 : 0); }
  [[nodiscard]] Index packed_size(const SelectiveLayout& layout) const noexcept {
    return layout.blocks() * layout.strips_per_block * rows() * layout.lanes;
  }
  void pack_strip(const SelectiveStrip& strip, Index lanes, S* to) const noexcept {
    std::fill_n(to, rows() * lanes, S{0});
    for (std::size_t k = 0; k < P; ++k, to += states() * lanes) {
      for (Index i = 0; i < strip.count; ++i) {
        for (Index n = 0; n < states(); ++n) {
          const S given = plain[k](strip.first + i, n);
          to[n * lanes + i] = scale[k] * (of_logarithm ? -std::exp(given) : given);
        }
      }
    }
    if (largest) fill_largest(strip, lanes, to);
  }
  /// The same matrix with its strips in `memory`.
  [[nodiscard]] SelectiveMatrix pack(const SelectiveLayout& layout, S* memory) const noexcept {
    layout.for_each_strip([&](const SelectiveStrip& strip, Index number) {
      pack_strip(strip, layout.lanes, memory + number * rows() * layout.lanes);
    });
    SelectiveMatrix result = *this;
    result.packed = memory;
    return result;
  }
  /// The strip of that number; written to `room` [rows, lanes] where strips are not packed.
  [[nodiscard]] const S* strip(const SelectiveStrip& strip, Index number, Index lanes, S* room) const noexcept {
    if (packed != nullptr) return packed + number * rows() * lanes;
    pack_strip(strip, lanes, room);
    return room;
  }

 private:
  static constexpr Planes<S, P> unscaled() noexcept {
    Planes<S, P> ones;
    ones.fill(S{1});
    return ones;
  }
  /// The row behind a strip.
  void fill_largest(const SelectiveStrip& strip, Index lanes, S* row) const noexcept {
    const S* first = row - static_cast<Index>(P) * states() * lanes;
    for (Index i = 0; i < strip.count; ++i) {
      for (Index n = 0; n < states(); ++n) row[i] = std::max(row[i], std::abs(first[n * lanes + i]));
    }
  }
};

/// Copies states [state_size, features] of one member to the strips of a block [strips, state_size, lanes] and back;
/// planes of them at the same places.
template <Scalar S>
void pack_states(const SelectiveLayout& layout, Index block, const S* states, S* strips) noexcept {
  std::fill_n(strips, layout.block_size(), S{0});
  layout.for_each_strip(block, [&](const SelectiveStrip& strip, Index number) {
    S* to = strips + number % layout.strips_per_block * layout.strip_size();
    for (Index n = 0; n < layout.state_size; ++n) {
      std::copy_n(states + n * layout.features + strip.first, strip.count, to + n * layout.lanes);
    }
  });
}
template <Scalar S>
void unpack_states(const SelectiveLayout& layout, Index block, const S* strips, S* states) noexcept {
  layout.for_each_strip(block, [&](const SelectiveStrip& strip, Index number) {
    const S* from = strips + number % layout.strips_per_block * layout.strip_size();
    for (Index n = 0; n < layout.state_size; ++n) {
      std::copy_n(from + n * layout.lanes, strip.count, states + n * layout.features + strip.first);
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
