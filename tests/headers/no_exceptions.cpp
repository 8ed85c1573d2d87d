// Compiled with -fno-exceptions -fno-rtti: all headers compile, a layer runs, and an error prints its message and
// aborts.

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <everything.hpp>

int main(int argc, char** argv) {
  stepscan::Lstm<float, stepscan::Dynamic, stepscan::Dynamic> layer(2, 3);
  stepscan::initialize(layer, 1);
  stepscan::Tensor<float, stepscan::Dynamic, stepscan::Dynamic, stepscan::Dynamic> x(1, 4, 2), y(1, 4, 3),
      wrong(1, 4, 5);
  auto state = layer.initial_state(1);
  layer.scan(state, x, y);
  if (argc > 1 && std::strcmp(argv[1], "error") == 0) {
    std::signal(SIGABRT, [](int) { std::_Exit(0); });
    layer.scan(state, x, wrong);
    return 1;
  }
  return 0;
}
