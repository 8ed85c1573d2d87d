// expect: stepscan: the layers inside a Residual change the number of tokens
#include <stepscan/layers/conv1d.hpp>
#include <stepscan/models/residual.hpp>

using namespace stepscan;

Residual<Conv1d<float, 3, 3, 3>> model;
