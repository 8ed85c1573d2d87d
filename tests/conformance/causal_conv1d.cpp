#include <conformance/stack.hpp>
#include <stepscan/layers/causal_conv1d.hpp>

/// causal_conv1d: a case without a bias has one of zeros here.
namespace conformance {

namespace {

template <Scalar S, class Function>
void run_with(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time");
  const Index features = config.size("features"), width = config.size("width");
  const bool bias = config.flag("bias");
  golden.require_shape("in/x", {batch, time, features});
  golden.require_shape("param/weight", {features, width});
  if (bias) golden.require_shape("param/bias", {features});
  if (golden.has("in/state.conv")) golden.require_shape("in/state.conv", {batch, width - 1, features});
  Stack<stepscan::CausalConv1d<S, Dynamic, Dynamic, true, Function>> stack;
  stack.layers.emplace_back(features, width);
  stack.parameter = [bias](std::size_t, const std::string& name) -> std::optional<Place> {
    if (!bias && name == "bias") return std::nullopt;
    return Place{name};
  };
  run_stack(golden, session, stack);
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  if (golden.config.choice("activation", {"silu", "identity"}) == 0) {
    run_with<S, stepscan::SiluActivation>(golden, session);
  } else {
    run_with<S, stepscan::IdentityActivation>(golden, session);
  }
}

}  // namespace

Family causal_conv1d_family() { return {"causal_conv1d", run_case<float>, run_case<double>}; }

}  // namespace conformance
