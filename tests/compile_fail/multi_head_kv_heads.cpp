// expect: stepscan: the heads of an attention are no multiple of its key/value heads
#include <stepscan/layers/multi_head_attention.hpp>

using namespace stepscan;

MultiHeadAttention<float, 12, 4, 3> layer({.capacity = 8});
