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

/// As a library of tensors would: a sequence moved by each tap's distance times that tap, added up; then SiLU.
void add_tensor_at_a_time(const auto& conv, Index time) {
  conv.beside("tensor at a time", time, [=](const Sequences& x, Sequences& y) {
    const auto& layer = conv.layer();
    const Index last = layer.width() - 1;
    for (Index t = 0; t < time; ++t) std::copy_n(layer.bias.data(), x.extent(2), &y(0, t, 0));
    for (Index k = 0; k <= last; ++k) {
      for (Index t = last - k; t < time; ++t) {
        for (Index d = 0; d < x.extent(2); ++d) y(0, t, d) += layer.weight(d, k) * x(0, t - last + k, d);
      }
    }
    for (float& value : y) value /= 1 + std::exp(-value);
  });
}

}  // namespace

void bench::add_benchmarks() {
  subject({"min_gru", {256, 256}, cost(2, 256)}, fresh<MinGru<float, Dynamic, Dynamic>>(256, 256)).all();
  subject({"min_lstm", {256, 256}, cost(3, 256)}, fresh<MinLstm<float, Dynamic, Dynamic>>(256, 256)).all();
  const auto conv = subject({"causal_conv1d", {512, 4}, {.flops = 8 * 512, .weights = 16 * 512, .state = 12 * 512}},
                            fresh<CausalConv1d<float, Dynamic, Dynamic>>(512, 4));
  conv.all();
  if (!quick) add_tensor_at_a_time(conv, 2048);
}
