#include <cstdio>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/version.hpp>
#include <stepscan/layers/lstm.hpp>

int main() {
  using namespace stepscan;
  Lstm<float, 2, 3> layer;
  initialize(layer, 1);
  Tensor<float, 1, 4, 2> x;
  Tensor<float, 1, 4, 3> y;
  for (float& value : x) value = 0.5F;
  auto state = layer.initial_state(1);
  layer.scan(state, x, y);
  std::printf("stepscan %d.%d.%d: y[3] = %g %g %g\n", STEPSCAN_VERSION_MAJOR, STEPSCAN_VERSION_MINOR,
              STEPSCAN_VERSION_PATCH, y[9], y[10], y[11]);
  return y[9] != 0 ? 0 : 1;
}
