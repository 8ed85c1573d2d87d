#include <stepscan/kernels/half.hpp>
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>

#include "support.hpp"

/// One streaming step of LSTM and GRU, batch 1, one input, as amplifier models run it; from 64 units on also with
/// weights kept in 16 bits; and eight streams in lockstep.
///
/// Floors, single thread: up to 40 units a chain of product, two activations deep; from 64 on the bytes of the
/// recurrent weights over the bandwidth of the cache that holds them.
namespace {

using namespace bench;

template <class L, class Stored = float, class Math = Exact>
void add_layer(const std::string& name, double gates, Index batch = 1) {
  L layer;
  initialize(layer, 1);
  const double hidden = static_cast<double>(layer.output_size());
  add_step(name, prepare<Stored, Math>(layer), batch, 2 * gates * hidden * (hidden + 1));
}

template <Index Hidden>
void add_size() {
  add_layer<Lstm<float, 1, Hidden>>("lstm", 4);
  add_layer<Lstm<float, 1, Hidden>, float, Fast>("lstm_fast", 4);
  if constexpr (Hidden >= 64) {
    add_layer<Lstm<float, 1, Hidden>, Half, Fast>("lstm_half_fast", 4);
    add_layer<Lstm<float, 1, Hidden>, BFloat16, Fast>("lstm_bfloat16_fast", 4);
  }
  if constexpr (Hidden <= 64) {
    add_layer<Gru<float, 1, Hidden>>("gru", 3);
    add_layer<Gru<float, 1, Hidden>, float, Fast>("gru_fast", 3);
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  add_size<8>();
  add_size<16>();
  add_size<20>();
  add_size<32>();
  add_size<40>();
  add_size<64>();
  add_size<128>();
  add_size<256>();
  add_layer<Lstm<float, 1, 64>>("lstm", 4, 8);
  add_layer<Lstm<float, 1, 64>, float, Fast>("lstm_fast", 4, 8);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
