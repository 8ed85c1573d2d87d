#include <limits>
#include <stepscan/kernels/tiling.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

constexpr Machine of_16_registers{.vector_registers = 16};
constexpr Machine of_32_registers{.vector_registers = 32};

/// Whether a tile of that many rows and vectors meets the three constraints of solve_product_tile.
constexpr bool is_feasible(int rows, int vectors, const Machine& m) {
  const int accumulators = rows * vectors;
  return accumulators + vectors + 1 <= m.vector_registers && accumulators >= m.fma_latency * m.fma_per_cycle &&
         (rows + vectors) * m.fma_per_cycle <= accumulators * m.loads_per_cycle;
}

}  // namespace

TEST_CASE("the product tile is solved at compile time", "[kernels][tiling]") {
  STATIC_REQUIRE(solve_product_tile(of_16_registers) == ProductTile{6, 2});
  STATIC_REQUIRE(solve_product_tile(of_32_registers) == ProductTile{12, 2});
  STATIC_REQUIRE(is_feasible(6, 2, of_16_registers));
  STATIC_REQUIRE(is_feasible(12, 2, of_32_registers));
}

TEST_CASE("no feasible tile is better than the one chosen, on any machine", "[kernels][tiling]") {
  const int registers = GENERATE(8, 16, 24, 32, 64), latency = GENERATE(3, 4, 6), fmas = GENERATE(1, 2);
  const int loads = GENERATE(1, 2, 3);
  const Machine machine{
      .vector_registers = registers, .fma_latency = latency, .fma_per_cycle = fmas, .loads_per_cycle = loads};
  const ProductTile tile = solve_product_tile(machine);
  CAPTURE(registers, latency, fmas, loads, tile.rows, tile.vectors);
  const bool found = is_feasible(tile.rows, tile.vectors, machine);
  for (int vectors = 1; vectors <= 4; ++vectors) {
    for (int rows = 1; rows <= 12; ++rows) {
      if (!is_feasible(rows, vectors, machine)) continue;
      REQUIRE(found);
      CHECK((vectors > tile.vectors || (vectors == tile.vectors && rows <= tile.rows)));
    }
  }
  if (!found) CHECK(tile == ProductTile{1, 1});
}

TEST_CASE("a single row accumulates whole panels that the registers hold", "[kernels][tiling]") {
  for (const int registers : {8, 16, 32}) {
    const Machine machine{.vector_registers = registers};
    const ProductTile tile = solve_product_tile(machine);
    const int vectors = solve_row_vectors(machine);
    CAPTURE(registers, vectors);
    CHECK(vectors > 0);
    CHECK(vectors % tile.vectors == 0);
    CHECK(vectors + tile.vectors + 1 <= registers);
  }
}

TEST_CASE("slices and chunks fit the caches they are meant for", "[kernels][tiling]") {
  const Machine machine{.l1_bytes = 32 * 1024, .l2_bytes = 512 * 1024};
  CHECK(solve_panel_slice(64, machine) == 256);
  for (const Index bytes : {1, 64, 1000, 4096, 20000}) {
    const Index tokens = solve_hoisted_chunk(bytes, machine);
    CAPTURE(bytes, tokens);
    CHECK((tokens & (tokens - 1)) == 0);
    CHECK((tokens >= 4 && tokens <= 256));
    CHECK((tokens == 4 || tokens * bytes <= machine.l2_bytes / 2));
    CHECK((tokens == 256 || 2 * tokens * bytes > machine.l2_bytes / 2));
  }
  CHECK(solve_hoisted_chunk(Index{1} << 40, machine) == 4);
}

TEST_CASE("the tile of a state fits the registers and hides its loads", "[kernels][tiling]") {
  STATIC_REQUIRE(solve_state_tile(of_16_registers) == ProductTile{4, 2});
  STATIC_REQUIRE(solve_state_tile(of_32_registers) == ProductTile{8, 2});
  CHECK(solve_state_tile({.vector_registers = 4}) == ProductTile{1, 1});
}

TEST_CASE("runs and chunks of a matrix state follow its size", "[kernels][tiling]") {
  const Machine machine{.l2_bytes = 512 * 1024};
  CHECK(solve_state_run(1280, machine) == 32);
  CHECK(solve_state_run(5000, machine) == 16);
  CHECK(solve_state_run(1 << 20, machine) == 8);
  STATIC_REQUIRE(solve_delta_vectors(of_16_registers) == 2);
  STATIC_REQUIRE(solve_delta_vectors(of_32_registers) == 4);
  CHECK(solve_delta_vectors({.vector_registers = 8}) == 1);
  constexpr Index never = std::numeric_limits<Index>::max();
  STATIC_REQUIRE(solve_shortest_groups(64, 64, 8) == 16);
  STATIC_REQUIRE(solve_shortest_groups(128, 128, 8) == 8);
  STATIC_REQUIRE(solve_shortest_groups(16, 64, 8) == never);
  STATIC_REQUIRE(solve_shortest_pairs(64, 64, 8) == 8);
  STATIC_REQUIRE(solve_shortest_pairs(128, 128, 8) == 4);
}
