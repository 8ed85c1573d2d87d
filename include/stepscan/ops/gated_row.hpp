#pragma once

#include <algorithm>
#include <array>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/ops/gate_weights.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The recurrent weights of one head, packed for one stream at a time: a register of units has its gates side by side,
/// so that their pre-activations meet in registers and never go through memory, and the processor works on the
/// activations of some units while it fetches the weights of the next.
///
/// Units are taken in blocks of a SIMD register, blocks in groups whose gates fill the accumulators. A group's weights
/// lie column by column in one run of memory: [units of U's columns][block][gate][lane]. Every pre-activation is the
/// same chain of multiply-adds as in PanelsView::multiply, and has the same bits.
template <class Cell, Scalar S, Index Hidden, class Stored = S>
class GatedRow {
  static_assert(!Cell::late_candidate);
  static constexpr Index width = simd_width<S>;
  static constexpr int gates = static_cast<int>(Cell::recurrent_gates);
  static constexpr int vectors_per_panel = product_tile.vectors;
  static constexpr int most_blocks = std::max(solve_row_vectors(target_machine) / gates, 1);

 public:
  GatedRow(const Stored* weights, Extent<Hidden> hidden) noexcept : weights_(weights), hidden_(hidden) {}

  /// Numbers that pack() writes.
  [[nodiscard]] static constexpr Index weight_count(Index hidden) noexcept {
    Index count = 0;
    for (Index group = 0; group < group_count(hidden); ++group)
      count += panels_of(group, hidden) * panel_rows<S> * hidden;
    return count;
  }

  /// Packs the recurrent weights into the caller's memory.
  template <class Parameters>
  static void pack(const Parameters& p, Stored* weights) {
    const Index hidden = p.head_dim();
    std::fill_n(weights, weight_count(hidden), Stored{});
    for (Index group = 0; group < group_count(hidden); ++group) {
      const Index column = panels_of(group, hidden) * panel_rows<S>;
      for (std::size_t g = 0; g < p.recurrent_order.size(); ++g) {
        const auto source = p.recurrent.middle_rows(static_cast<Index>(g) * hidden, hidden);
        const Index first = first_block(group, hidden) * width, end = first_block(group + 1, hidden) * width;
        for (Index u = first; u < std::min(end, hidden); ++u) {
          const Index vector = (u - first) / width * gates + static_cast<Index>(p.recurrent_order[g]);
          const Index row = vector % vectors_per_panel * width + u % width;
          Stored* lane = weights + vector / vectors_per_panel * panel_rows<S> + PanelFormat<S, Stored>::position(row);
          for (Index k = 0; k < hidden; ++k) lane[k * column] = static_cast<Stored>(source(u, k));
        }
      }
      weights += column * hidden;
    }
  }

  /// One token: pre [gates, hidden] is W x + b; the state (rows of h, c, ...) moves on, y [hidden] becomes h. A caller
  /// that alternates `backwards` first meets the weights that are still in the nearer cache; it changes no result.
  template <class Math, std::size_t States>
  void advance(const S* pre, const std::array<S*, States>& state, S* y, bool backwards) const noexcept {
    const Index groups = group_count(hidden_);
    const Stored* weights = weights_ + (backwards ? weight_count(hidden_) : 0);
    for (Index turn = 0; turn < groups; ++turn) {
      const Index group = backwards ? groups - 1 - turn : turn;
      const Index size = panels_of(group, hidden_) * panel_rows<S> * hidden_;
      if (backwards) weights -= size;
      const Index first = first_block(group, hidden_);
      detail::with_constant<most_blocks, 1>(
          static_cast<int>(first_block(group + 1, hidden_) - first), [&](auto blocks) {
            advance_group<blocks, Math>(weights, hidden_, first * width, pre, state, groups == 1 ? state[0] : y, y);
          });
      if (!backwards) weights += size;
    }
    if (groups > 1)
      for_each_lanes<S>(hidden_, [&](Index u, auto lanes) { lanes.store(state[0] + u, lanes.load(y + u)); });
  }

 private:
  static constexpr Index block_count(Index hidden) noexcept { return (hidden + width - 1) / width; }
  static constexpr Index group_count(Index hidden) noexcept {
    return (block_count(hidden) + most_blocks - 1) / most_blocks;
  }
  static constexpr Index first_block(Index group, Index hidden) noexcept {
    return block_count(hidden) * group / group_count(hidden);
  }
  static constexpr Index panels_of(Index group, Index hidden) noexcept {
    const Index vectors = (first_block(group + 1, hidden) - first_block(group, hidden)) * gates;
    return (vectors + vectors_per_panel - 1) / vectors_per_panel;
  }

  /// The units [first, first + Blocks * width), whose h goes to `next_h` and to y. Never inlined: constants that a
  /// caller's loop keeps in registers would push the accumulators out of theirs.
  template <int Blocks, class Math, std::size_t States>
  [[gnu::noinline]] static void advance_group(const Stored* weights, Extent<Hidden> hidden, Index first, const S* pre,
                                              const std::array<S*, States>& state, S* next_h, S* y) noexcept {
    constexpr int vectors = Blocks * gates, panels = (vectors + vectors_per_panel - 1) / vectors_per_panel;
    Simd<S> sum[panels * vectors_per_panel];
    const auto with_lanes = [&](int block, auto&& f) __attribute__((always_inline)) {
      const Index u = first + block * width;
      if ((Hidden != Dynamic && Hidden % width == 0) || u + width <= hidden) {
        f(u, FullLanes<S>{});
      } else {
        f(u, PartialLanes<S>{hidden - u});
      }
    };
#pragma GCC unroll 16
    for (int b = 0; b < Blocks; ++b) {
      with_lanes(
          b, [&](Index u, auto lanes) __attribute__((always_inline)) {
#pragma GCC unroll 16
            for (int g = 0; g < gates; ++g) {
              sum[b * gates + g] = lanes.load(pre + g * hidden + u);
            }
          });
    }
    for (Index k = 0; k < hidden; ++k) {
      const Simd<S> input(state[0][k]);
#pragma GCC unroll 16
      for (int p = 0; p < panels; ++p) {
        Simd<S> column[vectors_per_panel];
        PanelFormat<S, Stored>::load_column(weights + (k * panels + p) * panel_rows<S>, column);
#pragma GCC unroll 16
        for (int i = 0; i < vectors_per_panel; ++i) {
          const int v = p * vectors_per_panel + i;
          if (v < vectors) sum[v] = fma(column[i], input, sum[v]);
        }
      }
    }
#pragma GCC unroll 16
    for (int b = 0; b < Blocks; ++b) {
      with_lanes(
          b, [&](Index u, auto lanes) __attribute__((always_inline)) {
            std::array<Simd<S>, Cell::gates> a;
#pragma GCC unroll 16
            for (int g = 0; g < gates; ++g) {
              a[static_cast<std::size_t>(g)] = sum[b * gates + g];
            }
#pragma GCC unroll 16
            for (int g = gates; g < static_cast<int>(Cell::gates); ++g) {
              a[static_cast<std::size_t>(g)] = lanes.load(pre + g * hidden + u);
            }
            std::array<Simd<S>, States> next;
            for (std::size_t i = 0; i < States; ++i) next[i] = lanes.load(state[i] + u);
            Cell::template advance<Math>(a, next);
            lanes.store(next_h + u, next[0]);
            if (y != next_h) lanes.store(y + u, next[0]);
            for (std::size_t i = 1; i < States; ++i) lanes.store(state[i] + u, next[i]);
          });
    }
  }

  const Stored* weights_;
  [[no_unique_address]] Extent<Hidden> hidden_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
