#include <conformance/decay_layer.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  stepscan::GatedLinearAttentionScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim);
  run_decay_layer(golden, session, layer, {"g"}, sizes.key_dim);
}

}  // namespace

Family gated_linear_attention_family() { return {"gated_linear_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
