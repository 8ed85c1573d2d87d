// expect: stepscan: the two directions of a Bidirectional take different numbers of inputs
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/bidirectional.hpp>

using namespace stepscan;

Bidirectional<Linear<float, 3, 8>, Linear<float, 4, 8>> model;
