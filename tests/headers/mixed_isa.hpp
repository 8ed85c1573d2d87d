#pragma once

#include <everything.hpp>
#include <vector>

/// What every unit runs, each for its own instruction set. In a nameless namespace, for only stepscan's own functions
/// are to be told apart by stepscan.
namespace {

std::vector<double> run_layer() {
  using namespace stepscan;
  Lstm<float, Dynamic, Dynamic> layer(5, 67);
  initialize(layer, 7);
  Tensor<float, Dynamic, Dynamic, Dynamic> x(3, 41, 5), y(3, 41, 67);
  Random random(8);
  for (float& value : x) value = static_cast<float>(random.uniform(-1, 1));
  auto state = layer.initial_state(3);
  prepare(layer).scan(state, x, y);
  return std::vector<double>(y.begin(), y.end());
}

}  // namespace
