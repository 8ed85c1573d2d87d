// expect: stepscan: a layer's outputs are not as many as the next layer's inputs
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;

Sequential<Linear<float, 3, 8>, Linear<float, 9, 2>> model;
