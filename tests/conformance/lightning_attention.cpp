#include <conformance/decay_layer.hpp>
#include <stepscan/layers/lightning_attention.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const HeadSizes sizes(golden.config);
  const std::vector<double> decays = golden.config.numbers("log_decay");
  if (golden.config.choice("decay_schedule", {"tnl", "explicit"}) == 0) {
    const Index layer = golden.config.size("layer_idx", 0), layers = golden.config.size("num_layers");
    require_close("log_decay", stepscan::tnl_schedule(sizes.heads, layer, layers), decays);
  }
  stepscan::LightningAttentionScan<S, Dynamic, Dynamic, Dynamic> layer(sizes.heads, sizes.key_dim, sizes.value_dim,
                                                                       decays);
  run_decay_layer(golden, session, layer);
}

}  // namespace

Family lightning_attention_family() { return {"lightning_attention", run_case<float>, run_case<double>}; }

}  // namespace conformance
