// expect: stepscan: the layers of a Parts have no state
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/parts.hpp>

using namespace stepscan;

Parts<Gru<float, 8, 8>> parts;
