#pragma once

#include <algorithm>
#include <array>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/ops/gate_weights.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The weights of one head, packed for one stream at a time: a register of units has its gates side by side, so that
/// their pre-activations meet in registers and never go through memory, whatever the number of units, and the
/// processor works on the activations of some units while it fetches the weights of the next.
///
/// Units are taken in blocks of a SIMD register, blocks in groups whose gates fill the accumulators. A group's weights
/// lie column by column in one run of memory, those of W before those of U: [columns][block][gate][lane]. Every
/// pre-activation is the same chain of multiply-adds as in PanelsView::multiply, and has the same bits.
template <class Cell, Scalar S, Index Inputs, Index Hidden, class Stored = S>
class GatedRow {
  static_assert(!Cell::late_candidate);
  static constexpr Index width = simd_width<S>;
  static constexpr int gates = static_cast<int>(Cell::gates);
  static constexpr int input_gates = static_cast<int>(Cell::input_gates);
  static constexpr int recurrent_gates = static_cast<int>(Cell::recurrent_gates);
  static constexpr int vectors_per_panel = product_tile.vectors;
  static constexpr int most_blocks =
      std::max(solve_row_vectors(target_machine) / std::max(input_gates, recurrent_gates), 1);
  static constexpr bool only_whole = Hidden != Dynamic && Hidden % width == 0;
  static constexpr bool only_group = Hidden != Dynamic && Hidden <= most_blocks * width;

 public:
  /// What one token moves on: the state, rows of h, c, ..., and y [hidden], which becomes h. Where `backwards`, best
  /// alternated from token to token, the last groups come first, whose weights are still in the nearer cache; it
  /// changes no result.
  template <std::size_t States>
  struct Token {
    std::array<S*, States> state;
    S* y;
    bool backwards;
  };

  /// Of packed weights and the bias [gates, hidden].
  GatedRow(const Stored* weights, const S* bias, Extent<Inputs> inputs, Extent<Hidden> hidden) noexcept
      : weights_(weights), bias_(bias), inputs_(inputs), hidden_(hidden) {}

  /// Numbers that pack() writes.
  [[nodiscard]] static constexpr Index weight_count(Index inputs, Index hidden) noexcept {
    Index count = 0;
    for (Index group = 0; group < group_count(hidden); ++group) count += group_size(group, inputs, hidden);
    return count;
  }

  /// Packs the weights into the caller's memory.
  template <class Parameters>
  static void pack(const Parameters& p, Stored* weights) {
    const Index hidden = p.head_dim();
    std::fill_n(weights, weight_count(p.input.cols, hidden), Stored{});
    for (Index group = 0; group < group_count(hidden); ++group) {
      pack_columns<gates - input_gates, input_gates>(p.input, p.input_order, group, hidden, weights);
      pack_columns<0, recurrent_gates>(p.recurrent, p.recurrent_order, group, hidden, weights);
    }
  }

  /// One token from its input x.
  template <class Math, std::size_t States>
  void step(const S* x, const Token<States>& token) const noexcept {
    advance_all<Math, Inputs>(x, bias_, token);
  }

  /// One token from pre [gates, hidden], its W x + b.
  template <class Math, std::size_t States>
  void advance(const S* pre, const Token<States>& token) const noexcept {
    advance_all<Math, 0>(nullptr, pre, token);
  }

 private:
  /// A group's columns of W, then those of U.
  struct GroupWeights {
    const Stored* input;
    const Stored* recurrent;
    const Stored* end;
  };

  static constexpr Index block_count(Index hidden) noexcept { return (hidden + width - 1) / width; }
  static constexpr Index group_count(Index hidden) noexcept {
    return (block_count(hidden) + most_blocks - 1) / most_blocks;
  }
  static constexpr Index first_block(Index group, Index hidden) noexcept {
    return block_count(hidden) * group / group_count(hidden);
  }
  /// Rows of the panels that hold a column of `count` gates of `blocks` blocks.
  static constexpr Index column_size(Index blocks, int count) noexcept {
    return (blocks * count + vectors_per_panel - 1) / vectors_per_panel * panel_rows<S>;
  }
  static constexpr Index group_size(Index group, Index inputs, Index hidden) noexcept {
    const Index blocks = first_block(group + 1, hidden) - first_block(group, hidden);
    return column_size(blocks, input_gates) * inputs + column_size(blocks, recurrent_gates) * hidden;
  }

  /// Packs gates [First, First + Count) of a group of units, and moves `weights` on behind them.
  template <int First, int Count>
  static void pack_columns(MatrixView<const S> source, GateOrder order, Index group, Index hidden, Stored*& weights) {
    const Index first = first_block(group, hidden), end = first_block(group + 1, hidden);
    const Index column = column_size(end - first, Count);
    for (std::size_t g = 0; g < order.size(); ++g) {
      for (Index u = first * width; u < std::min(end * width, hidden); ++u) {
        const Index vector = (u / width - first) * Count + static_cast<Index>(order[g]) - First;
        const Index row = vector % vectors_per_panel * width + u % width;
        Stored* lane = weights + vector / vectors_per_panel * panel_rows<S> + PanelFormat<S, Stored>::position(row);
        const S* from = source.row(static_cast<Index>(g) * hidden + u);
        for (Index k = 0; k < source.cols; ++k) lane[k * column] = static_cast<Stored>(from[k]);
      }
    }
    weights += column * source.cols;
  }

  template <class Math, Index Columns, std::size_t States>
  [[gnu::always_inline]] void advance_all(const S* x, const S* initial, const Token<States>& token) const noexcept {
    const Index groups = group_count(hidden_);
    S* const h = token.state[0];
    const Stored* weights = weights_ + (token.backwards ? weight_count(inputs_, hidden_) : 0);
    for (Index turn = 0; turn < groups; ++turn) {
      const Index group = token.backwards ? groups - 1 - turn : turn;
      const Index first = first_block(group, hidden_), size = group_size(group, inputs_, hidden_);
      if (token.backwards) weights -= size;
      detail::with_constant<most_blocks, 1>(
          static_cast<int>(first_block(group + 1, hidden_) - first), [&](auto blocks) {
            const Stored* const recurrent = weights + column_size(blocks, input_gates) * inputs_;
            advance_group<blocks, Math, Columns>({weights, recurrent, weights + size}, hidden_, first * width, x,
                                                 initial, token, groups == 1 ? h : token.y);
          });
      if (!token.backwards) weights += size;
    }
    if (groups > 1)
      for_each_lanes<S>(hidden_, [&](Index u, auto lanes) { lanes.store(h + u, lanes.load(token.y + u)); });
  }

  /// sum[block][First + gate] += A x for the gates [First, First + Count) that the packed A, [begin, end), feeds.
  template <int Blocks, int First, int Count, int Chains>
  [[gnu::always_inline]] static void add_product(const Stored* begin, const Stored* end, const S* x,
                                                 Simd<S>* sum) noexcept {
    constexpr int vectors = Blocks * Count, panels = (vectors + vectors_per_panel - 1) / vectors_per_panel;
    constexpr Index column = panels * panel_rows<S>;
    const auto add_column = [&](const Stored* weights, S number, auto&& total) __attribute__((always_inline)) {
      const Simd<S> input(number);
#pragma GCC unroll 16
      for (int p = 0; p < panels; ++p) {
        Simd<S> parts[vectors_per_panel];
        PanelFormat<S, Stored>::load_column(weights + p * panel_rows<S>, parts);
#pragma GCC unroll 16
        for (int i = 0; i < vectors_per_panel; ++i) {
          const int v = p * vectors_per_panel + i;
          if (v < vectors) total(v) = fma(parts[i], input, total(v));
        }
      }
    };
    const auto total = [&](int v) __attribute__((always_inline))->Simd<S>& {
      return sum[v / Count * gates + First + v % Count];
    };
    Simd<S> other[vectors];
    if constexpr (Chains > 1) {
      for (int v = 0; v < vectors; ++v) other[v] = Simd<S>(S{0});
      for (; end - begin > column; begin += 2 * column, x += 2) {
        add_column(begin, x[0], total);
        add_column(
            begin + column, x[1], [&](int v) __attribute__((always_inline))->Simd<S> & { return other[v]; });
      }
    }
    for (; begin != end; begin += column) add_column(begin, *x++, total);
    if constexpr (Chains > 1) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) total(v) = total(v) + other[v];
    }
  }

  /// The units [first, first + Blocks * width), whose h goes to `next_h` and to y. Never inlined: constants that a
  /// caller's loop keeps in registers would push the accumulators out of theirs, and of loops over a known number of
  /// columns clang++ makes one chain after the other.
  template <int Blocks, class Math, Index Columns, std::size_t States>
  [[gnu::noinline]] static void advance_group(const GroupWeights& weights, Extent<Hidden> hidden, Index first,
                                              const S* x, const S* initial, const Token<States>& token,
                                              S* next_h) noexcept {
    constexpr int input_chains = product_chains<S, static_product(input_gates, Hidden), Inputs, Stored>;
    constexpr int recurrent_chains = product_chains<S, static_product(recurrent_gates, Hidden), Hidden, Stored>;
    const std::array<S*, States> state = token.state;
    S* const y = token.y;
    Simd<S> sum[Blocks * gates];
    const auto with_lanes = [&](int block, auto&& f) __attribute__((always_inline)) {
      const Index u = only_group ? block * width : first + block * width;
      if (only_whole || (only_group ? block + 1 < Blocks : u + width <= hidden)) {
        f(u, FullLanes<S>{});
      } else {
        f(u, PartialLanes<S>{Hidden == Dynamic ? hidden - u : Hidden % width});
      }
    };
#pragma GCC unroll 16
    for (int b = 0; b < Blocks; ++b) {
      with_lanes(
          b, [&](Index u, auto lanes) __attribute__((always_inline)) {
#pragma GCC unroll 16
            for (int g = 0; g < gates; ++g) {
              sum[b * gates + g] = lanes.load(initial + g * hidden + u);
            }
          });
    }
    if constexpr (Columns != 0)
      add_product<Blocks, gates - input_gates, input_gates, input_chains>(weights.input, weights.recurrent, x, sum);
    add_product<Blocks, 0, recurrent_gates, recurrent_chains>(weights.recurrent, weights.end, state[0], sum);
#pragma GCC unroll 16
    for (int b = 0; b < Blocks; ++b) {
      with_lanes(
          b, [&](Index u, auto lanes) __attribute__((always_inline)) {
            std::array<Simd<S>, Cell::gates> a;
            for (int g = 0; g < gates; ++g) a[static_cast<std::size_t>(g)] = sum[b * gates + g];
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
  const S* bias_;
  [[no_unique_address]] Extent<Inputs> inputs_;
  [[no_unique_address]] Extent<Hidden> hidden_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
