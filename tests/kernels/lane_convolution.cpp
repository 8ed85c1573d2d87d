#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/kernels/lane_convolution.hpp>
#include <support/catch.hpp>

using namespace stepscan;

namespace {

/// The largest difference to the sum itself.
template <class S, Index N>
double convolution_error(Index count) {
  using Lanes = LaneConvolution<S, N>;
  constexpr Index width = Lanes::width;
  Tensor<S, Dynamic> kernel(N * width), u(N * width), y(N * width);
  Random random(1);
  for (S& value : kernel) value = static_cast<S>(random.uniform(-1, 1));
  for (S& value : u) value = static_cast<S>(random.uniform(-1, 1));
  Tensor<S, Dynamic> taps(Lanes::spectrum_size), inputs(Lanes::spectrum_size);
  const Lanes& tables = Lanes::tables();
  tables.transform(FullLanes<S>(), kernel.data(), width, N, taps.data());
  tables.transform(FullLanes<S>(), u.data(), width, count, inputs.data());
  Lanes::multiply(taps.data(), inputs.data(), inputs.data());
  tables.finish(inputs.data(), count, inputs.data());
  double most = 0;
  for (Index t = 0; t < count; ++t) {
    for (Index lane = 0; lane < width; ++lane) {
      double expected = 0;
      for (Index j = 0; j <= t; ++j) {
        expected += static_cast<double>(kernel[(t - j) * width + lane]) * static_cast<double>(u[j * width + lane]);
      }
      most = std::max(most, std::abs(expected - static_cast<double>(inputs[t * width + lane])));
    }
  }
  return most;
}

}  // namespace

TEST_CASE("a convolution by lanes is the sum that it stands for", "[lane_convolution]") {
  for (const Index count : {1, 2, 15, 16}) CHECK(convolution_error<double, 16>(count) < 1e-14);
  CHECK(convolution_error<double, 2>(2) < 1e-15);
  CHECK(convolution_error<double, 512>(512) < 1e-12);
  CHECK(convolution_error<float, 512>(500) < 1e-5);
}
