// expect: stepscan: the heads of a MultiHeadAttention do not divide its width; give it a HeadDim
#include <stepscan/layers/multi_head_attention.hpp>

using namespace stepscan;

MultiHeadAttention<float, 10, 4> layer({.capacity = 8});
