#include <conformance/decay_layer.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  stepscan::ScalarGatedAttentionScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim);
  run_decay_layer(golden, session, layer, {"g"});
}

}  // namespace

Family scalar_gated_attention_family() { return {"scalar_gated_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
