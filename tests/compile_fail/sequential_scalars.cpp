// expect: stepscan: layers one behind the other have one scalar type
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/sequential.hpp>

using namespace stepscan;

Sequential<Linear<float, 3, 8>, Linear<double, 8, 2>> model;
