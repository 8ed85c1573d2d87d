// expect: stepscan: a layer's outputs are not as many as the next layer's inputs
#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/projected.hpp>

using namespace stepscan;

Projected<Gru<float, 8, 8>, Linear<float, 3, 9>, Linear<float, 8, 3>> layer;
