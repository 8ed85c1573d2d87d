#pragma once

#include <limits>
#include <stepscan/core/config.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a kernel may count on: vector registers, bytes of the first and second cache level of one core, the latency of
/// a fused multiply-add in cycles and how many start in one cycle. Defaults fit x86-64 and 64-bit ARM of the last
/// decade.
struct Machine {
  int vector_registers = 16;
  Index l1_bytes = 32 * 1024;
  Index l2_bytes = 512 * 1024;
  int fma_latency = 4;
  int fma_per_cycle = 2;
  int loads_per_cycle = 2;
};

/// The machine this translation unit is compiled for.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr Machine target_machine{.vector_registers = 32};
#else
inline constexpr Machine target_machine{};
#endif

/// A block of accumulators held in registers by a matrix product: `rows` rows of the input, each against `vectors`
/// SIMD vectors of outputs.
struct ProductTile {
  int rows = 1;
  int vectors = 1;

  [[nodiscard]] constexpr int accumulators() const { return rows * vectors; }
  friend constexpr bool operator==(const ProductTile&, const ProductTile&) = default;
};

/// The tile of a product on packed panels, as a small integer problem in the spirit of FlashRNN (arXiv 2412.07752,
/// section 3): choose rows and vectors such that
///   rows * vectors + vectors + 1 <= registers            accumulators, one column of weights, one broadcast input
///   rows * vectors >= latency * fma per cycle            enough independent chains to keep the multipliers busy
///   (rows + vectors) / loads <= rows * vectors / fma     loads hidden behind the multiplications
/// with the narrowest panel (little waste on odd sizes), then the most rows (weights are read least often).
[[nodiscard]] constexpr ProductTile solve_product_tile(const Machine& machine) {
  constexpr int most_rows = 12;
  for (int vectors = 1; vectors <= 4; ++vectors) {
    for (int rows = most_rows; rows >= 1; --rows) {
      const ProductTile tile{rows, vectors};
      const bool fits = tile.accumulators() + vectors + 1 <= machine.vector_registers;
      const bool busy = tile.accumulators() >= machine.fma_latency * machine.fma_per_cycle;
      const bool hidden = (rows + vectors) * machine.fma_per_cycle <= tile.accumulators() * machine.loads_per_cycle;
      if (fits && busy && hidden) return tile;
    }
  }
  return {};
}

/// How many vectors of outputs a product of a single input row accumulates at once: whole panels, as many as the
/// registers hold beside one broadcast and one column of weights per panel.
[[nodiscard]] constexpr int solve_row_vectors(const Machine& machine) {
  const ProductTile tile = solve_product_tile(machine);
  const int most = machine.fma_latency * machine.fma_per_cycle * 3 / 2;
  const int room = machine.vector_registers - tile.vectors - 1;
  return (most < room ? most : room) / tile.vectors * tile.vectors;
}

/// How many columns of a panel of `bytes_per_column` make a slice at most: half of the first cache level, so that it
/// stays there beside the rows of inputs that pass by.
[[nodiscard]] constexpr Index solve_panel_slice(Index bytes_per_column, const Machine& machine = target_machine) {
  return machine.l1_bytes / 2 / bytes_per_column;
}

/// How many rows of inputs of `bytes_per_row` pass by all panels of a product before the next ones: as many as stay
/// within a quarter of the second cache level, but enough to be worth reading the panels for.
[[nodiscard]] constexpr Index solve_passing_rows(Index bytes_per_row, const Machine& machine = target_machine) {
  const Index least = 4 * solve_product_tile(machine).rows;
  const Index rows = bytes_per_row == 0 ? least : machine.l2_bytes / 4 / bytes_per_row;
  return rows < least ? least : rows;
}

/// How many tokens a chunk has whose hoisted input products take `bytes_per_token`: a power of two between 4 and 256
/// that keeps the chunk within half of the second cache level.
[[nodiscard]] constexpr Index solve_hoisted_chunk(Index bytes_per_token, const Machine& machine = target_machine) {
  Index tokens = 256;
  while (tokens > 4 && tokens * bytes_per_token > machine.l2_bytes / 2) tokens /= 2;
  return tokens;
}

/// The tile of a matrix state that stays in registers while a run of tokens passes by: `rows` rows of keys, a power of
/// two that most sizes are whole multiples of, by `vectors` SIMD vectors of values, such that
///   rows * vectors + 2 * vectors + 3 <= registers        the tile, a token's values and outputs, broadcast numbers
///   (3 * rows + 2 * vectors) / loads <= 3 * rows * vectors / fma   loads hidden behind the arithmetic of one token
/// with the fewest vectors, then the most rows (values and outputs are read least often).
[[nodiscard]] constexpr ProductTile solve_state_tile(const Machine& machine) {
  constexpr int most_rows = 8;
  for (int vectors = 1; vectors <= 4; ++vectors) {
    for (int rows = most_rows; rows >= 2; rows /= 2) {
      const bool fits = rows * vectors + 2 * vectors + 3 <= machine.vector_registers;
      const bool hidden =
          (3 * rows + 2 * vectors) * machine.fma_per_cycle <= 3 * rows * vectors * machine.loads_per_cycle;
      if (fits && hidden) return {rows, vectors};
    }
  }
  return {};
}
inline constexpr ProductTile state_tile = solve_state_tile(target_machine);

/// How many tokens pass by a state in one run where a token's rows take `bytes_per_token`: a power of two between 8 and
/// 32 that keeps them within a quarter of the second cache level. The state is loaded and stored once a run.
[[nodiscard]] constexpr Index solve_state_run(Index bytes_per_token, const Machine& machine = target_machine) {
  Index tokens = 32;
  while (tokens > 8 && tokens * bytes_per_token > machine.l2_bytes / 4) tokens /= 2;
  return tokens;
}

/// From how many tokens on a run past a state [keys, values] is faster in groups of four than token after token; the
/// largest number where it never is. In vector operations a token, measured on AVX2 at 16 x 64 to 128 x 128 and
/// rounded:
///   3/4 keys * value_vectors                          saved on the state
///   12 value_vectors + 14 key_vectors + 70            spent on decaying queries and keys, scores, their product with
///   values
[[nodiscard]] constexpr Index solve_shortest_groups(Index keys, Index values, Index lanes) {
  const Index key_vectors = (keys + lanes - 1) / lanes, value_vectors = (values + lanes - 1) / lanes;
  const Index saved = 3 * keys * value_vectors / 4, spent = 12 * value_vectors + 14 * key_vectors + 70;
  if (saved <= spent) return std::numeric_limits<Index>::max();
  return saved > 2 * spent ? 8 : 16;
}

/// The same of the delta rule's pairs, which save a quarter of the state's operations.
[[nodiscard]] constexpr Index solve_shortest_pairs(Index keys, Index values, Index lanes) {
  return keys * values / lanes >= 1024 ? 4 : 8;
}

/// How many SIMD vectors of a state's columns pairs of the delta rule's tokens pass at once: as many as fit beside a
/// decay and a broadcast number, each with four answers to keys and queries, two corrections and the state's own
/// numbers.
[[nodiscard]] constexpr int solve_delta_vectors(const Machine& machine) {
  const int vectors = (machine.vector_registers - 2) / 7;
  return vectors < 1 ? 1 : vectors > 4 ? 4 : vectors;
}

}  // namespace stepscan::inline STEPSCAN_ISA
