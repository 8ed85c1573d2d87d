// expect: stepscan: the block of a Repeat gives back another number of features than it takes
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/repeat.hpp>

using namespace stepscan;

Repeat<3, Linear<float, 3, 8>> model;
