#include <conformance/stack.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>

namespace conformance {

namespace {

template <Scalar S, stepscan::GlaOptions Options>
void run_with(Case& golden, Session& session, const stepscan::GlaSizes& sizes) {
  Config& config = golden.config;
  Stack<stepscan::GatedLinearAttention<S, Dynamic, Dynamic, Dynamic, Dynamic, Options>> stack;
  auto& layer = stack.layers.emplace_back(sizes);
  layer.log_gate.tau = static_cast<S>(config.number("gate_logit_normalizer"));
  if (config.is_null("clamp_min")) {
    layer.log_gate.lowest = -std::numeric_limits<S>::infinity();
  } else {
    layer.log_gate.lowest = static_cast<S>(config.number("clamp_min"));
  }
  layer.eps = static_cast<S>(config.number("norm_eps"));
  layer.scale = static_cast<S>(config.number("scale"));
  run_stack(golden, session, stack);
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const bool short_conv = config.flag("use_short_conv"), output_gate = config.flag("use_output_gate");
  stepscan::GlaSizes sizes{config.size("features"), config.size("heads"),     config.size("kv_heads"),
                           config.size("key_dim"),  config.size("value_dim"), config.size("gate_low_rank_dim")};
  static_cast<void>(config.choice("gate_fn", {"swish"}));
  if (short_conv) {
    sizes.conv_width = config.size("conv_size");
  } else {
    static_cast<void>(config.is_null("conv_size"));
  }
  if (short_conv && output_gate) return run_with<S, stepscan::GlaOptions{true, true}>(golden, session, sizes);
  if (short_conv) return run_with<S, stepscan::GlaOptions{true, false}>(golden, session, sizes);
  if (output_gate) return run_with<S, stepscan::GlaOptions{false, true}>(golden, session, sizes);
  run_with<S, stepscan::GlaOptions{false, false}>(golden, session, sizes);
}

}  // namespace

Family gated_linear_attention_layer_family() {
  return {"gated_linear_attention_layer", run_case<float>, run_case<double>};
}

}  // namespace conformance
