#include <conformance/decay_layer.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  stepscan::GatedDeltaRuleScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim);
  layer.unit_length = golden.config.flag("l2_normalize_qk");
  run_decay_layer(golden, session, layer, {"beta", "g"});
}

}  // namespace

Family gated_delta_rule_family() { return {"gated_delta_rule", run_case<float>, run_case<double>}; }

}  // namespace conformance
