#include <conformance/decay_layer.hpp>
#include <stepscan/layers/retention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  const std::vector<double> decays = golden.config.numbers("log_decay");
  const std::size_t schedule = golden.config.choice("decay_schedule", {"retnet", "log_linspace", "explicit"});
  if (schedule == 0) require_close("log_decay", stepscan::retnet_schedule(sizes.heads), decays);
  if (schedule == 1) require_close("log_decay", stepscan::log_linspace_schedule(sizes.heads), decays);
  stepscan::RetentionScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim, decays);
  run_decay_layer(golden, session, layer);
}

}  // namespace

Family retention_family() { return {"retention", run_case<float>, run_case<double>}; }

}  // namespace conformance
