#include <conformance/decay_layer.hpp>
#include <stepscan/layers/delta_rule.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  stepscan::DeltaRuleScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim);
  layer.unit_length = golden.config.flag("l2_normalize_qk");
  run_decay_layer(golden, session, layer, {"beta"});
}

}  // namespace

Family delta_rule_family() { return {"delta_rule", run_case<float>, run_case<double>}; }

}  // namespace conformance
