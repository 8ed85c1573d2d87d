#include <stepscan/layers/affine_backward.hpp>
#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <stepscan/layers/min_gru.hpp>
#include <stepscan/layers/min_lstm.hpp>

#include "subject.hpp"

/// minGRU and minLSTM, which scan elementwise behind two or three products, and a depthwise convolution of four taps,
/// which only streams: each in every form over time, training, and one token.
///
/// Floors: the products at the rate of a matrix product and their activations at that of exponentials; the convolution
/// reads and writes its tokens.
/// Measured: minGRU's scan 92 %, backward 85 %; minLSTM 79 and 70 %; steps 90 and 96 %; the convolution 11 %.
namespace {

using namespace bench;

/// `products` of [width, width], with an activation each.
Cost cost(double products, Index width) {
  const double units = static_cast<double>(width);
  return {.flops = 2 * products * units * units,
          .exps = products * units,
          .weights = 4 * products * units * units,
          .state = 4 * units};
}

}  // namespace

void bench::add_benchmarks() {
  subject({"min_gru", {256, 256}, cost(2, 256)}, fresh<MinGru<float, Dynamic, Dynamic>>(256, 256)).all();
  subject({"min_lstm", {256, 256}, cost(3, 256)}, fresh<MinLstm<float, Dynamic, Dynamic>>(256, 256)).all();
  subject({"causal_conv1d", {512, 4}, {.flops = 8 * 512, .weights = 16 * 512, .state = 12 * 512}},
          fresh<CausalConv1d<float, Dynamic, Dynamic>>(512, 4))
      .all();
}
