// expect: stepscan: rotary positions turn pairs of features, but HeadDim is odd
#include <stepscan/layers/multi_head_attention.hpp>

using namespace stepscan;

constexpr MultiHeadOptions options{.positions = Positions::rotary};
MultiHeadAttention<float, 12, 4, 4, 3, options> layer({.capacity = 8});
