// expect: stepscan: a layer's outputs are not as many as the next layer's inputs
#include <stepscan/layers/projected_attention.hpp>

using namespace stepscan;

using Scan = DeltaRuleScan<float, 2, 4, 4>;
detail::ModelProjected<Scan, 8, false, Parts<Silu<float, 24>, Sigmoid<float, 3>>> layer;
