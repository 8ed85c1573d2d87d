// expect: stepscan: a layer's outputs are not as many as the next layer's inputs
#include <stepscan/layers/multi_head_attention.hpp>
#include <stepscan/layers/swiglu.hpp>
#include <stepscan/models/transformer.hpp>

using namespace stepscan;

using Block = TransformerBlock<MultiHeadAttention<float, 12, 4>, SwiGlu<float, 8, 16>>;
Index inputs = Block::static_inputs;
