#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/rms_norm.hpp>
#include <stepscan/layers/swiglu.hpp>

#include "support.hpp"

/// What stands around the scans of a block: normalisations and the gated feed-forward network.
///
/// Floors: a normalisation reads its tokens from the first cache level after the first time, and writes them once, as a
/// copy does; a SwiGlu runs at the rate of its three products.
namespace {

using namespace bench;

void add_copy(Index time, Index width) {
  add(name_of("copy", "memory", "scan", {1, time, width, width}, 1), 1, static_cast<double>(time), 0, [=] {
    Tensor<float, Dynamic> x(time * width), y(time * width);
    return [=]() mutable {
      std::copy(x.begin(), x.end(), y.begin());
      benchmark::DoNotOptimize(y.data());
    };
  });
}

template <class L>
void add_norm(const std::string& name, Index time, Index width) {
  L layer(width);
  initialize(layer, 1);
  add_scan(name, "Recurrent", prepare(layer), 1, time, 0, 1);
}

void add_feed_forward(Index time, Index width, Index hidden) {
  SwiGlu<float, Dynamic, Dynamic> swiglu(width, hidden);
  Linear<float, Dynamic, Dynamic, false> product(width, 3 * hidden);
  initialize(swiglu, 1);
  initialize(product, 1);
  const double flops = 6 * static_cast<double>(width * hidden);
  for (const int threads : {1, 2}) {
    add_scan("linear", "Chunked", prepare(product), 1, time, flops, threads);
    add_scan("swiglu", "Chunked", prepare(swiglu), 1, time, flops, threads);
  }
  add_step("linear", prepare(product), 1, flops);
  add_step("swiglu", prepare(swiglu), 1, flops);
}

}  // namespace

int main(int argc, char** argv) {
  add_matrix_product();
  for (const Index width : {64, 512, 2048}) {
    add_copy(256, width);
    add_norm<RmsNorm<float, Dynamic>>("rms_norm", 256, width);
    add_norm<LayerNorm<float, Dynamic>>("layer_norm", 256, width);
  }
  add_feed_forward(512, 64, 176);
  add_feed_forward(512, 256, 704);
  add_feed_forward(512, 512, 1408);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
