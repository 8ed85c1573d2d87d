#include <stepscan/kernels/half.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>

#include "support.hpp"

/// One streaming step of LSTM and GRU, batch 1, one input, as amplifier models run it; from 64 units on also with
/// weights kept in 16 bits; and eight streams in lockstep.
///
/// Floors, single thread: from 64 units on the bytes of the recurrent weights over the bandwidth of the cache that
/// holds them; up to 40 units a step is a chain of product and two activations, whose latency the counted floor does
/// not know.
/// Measured, LSTM: 17 % of 8 units, 74 % of 40 and 64, 81 % of 256; `Fast` 24, 98, 89 and 84 %; 16-bit weights 66 to
/// 86 %.
namespace {

using namespace bench;

/// `activations`: exponentials of a unit.
struct Cell {
  std::string name;
  double gates;
  double activations;
};
const Cell lstm{"lstm", 4, 5}, gru{"gru", 3, 3};

template <class L, class Stored = float, class Math = Exact>
void add_layer(const Cell& cell, const std::string& variant = "", Index batch = 1) {
  L layer;
  initialize(layer, 1);
  const double hidden = static_cast<double>(layer.output_size()), weights = cell.gates * hidden * (hidden + 1);
  const Traffic read{sizeof(Stored) * weights, sizeof(Stored) * weights};
  add_step(cell.name + variant, prepare<Stored, Math>(layer), batch,
           Work{.flops = 2 * weights, .exps = cell.activations * hidden, .weights = read});
}

template <Index Hidden>
void add_size() {
  add_layer<Lstm<float, 1, Hidden>>(lstm);
  add_layer<Lstm<float, 1, Hidden>, float, Fast>(lstm, ", Fast");
  if constexpr (Hidden >= 64) {
    add_layer<Lstm<float, 1, Hidden>, Half, Fast>(lstm, ", Half Fast");
    add_layer<Lstm<float, 1, Hidden>, BFloat16, Fast>(lstm, ", BFloat16 Fast");
  }
  add_layer<Gru<float, 1, Hidden>>(gru);
  add_layer<Gru<float, 1, Hidden>, float, Fast>(gru, ", Fast");
}

}  // namespace

void bench::add_benchmarks() {
  add_size<8>();
  add_size<16>();
  add_size<20>();
  add_size<32>();
  add_size<40>();
  add_size<64>();
  add_size<128>();
  add_size<256>();
  add_layer<Lstm<float, 1, 64>>(lstm, "", 8);
  add_layer<Lstm<float, 1, 64>, float, Fast>(lstm, ", Fast", 8);
}
