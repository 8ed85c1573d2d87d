// expect: stepscan: the layers inside a Residual give back another number of features than they take
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/residual.hpp>

using namespace stepscan;

Residual<Linear<float, 3, 8>> model;
