// expect: stepscan: gradients are checked in double
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/train/gradient_check.hpp>

using namespace stepscan;

const Linear<float, 3, 4> model;
const GradientReport report = check_gradients(model, SequenceView<const double>());
