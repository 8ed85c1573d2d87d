// expect: stepscan: a Tensor holds plain numbers
#include <stepscan/core/tensor.hpp>
#include <string>

stepscan::Tensor<std::string, 3> tensor;
