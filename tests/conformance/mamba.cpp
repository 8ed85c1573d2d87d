#include <conformance/stack.hpp>
#include <stepscan/layers/mamba.hpp>

/// mamba: a case without biases has biases of zeros here.
namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time"), model = config.size("d_model");
  const Index inner = config.size("d_inner"), states = config.size("d_state"), width = config.size("d_conv");
  const Index expand = config.size("expand"), rank = config.size("dt_rank");
  const bool bias = config.flag("bias"), conv_bias = config.flag("conv_bias");
  if (inner != expand * model) {
    stepscan::fail<ShapeError>("d_inner: expected expand * d_model = " + std::to_string(expand * model) + ", found " +
                               std::to_string(inner));
  }
  golden.require_shape("in/x", {batch, time, model});
  golden.require_shape("param/in_proj.weight", {2 * inner, model});
  golden.require_shape("param/conv.weight", {inner, width});
  golden.require_shape("param/x_proj.weight", {rank + 2 * states, inner});
  golden.require_shape("param/A_log", {inner, states});
  for (const char* name : {"in/state.ssm", "out/state.ssm", "cot/state.ssm"}) {
    if (golden.has(name)) golden.require_shape(name, {batch, inner, states});
  }
  Stack<stepscan::Mamba<S, Dynamic, Dynamic, Dynamic, Dynamic, Dynamic, stepscan::MambaBiases{.projections = true}>>
      stack;
  stack.layers.emplace_back(model, inner, states, width, rank);
  stack.parameter = [bias, conv_bias](std::size_t, const std::string& name) -> std::optional<Place> {
    if (!bias && (name == "in_proj.bias" || name == "out_proj.bias")) return std::nullopt;
    if (!conv_bias && name == "conv.bias") return std::nullopt;
    return Place{name};
  };
  stack.state = [](std::size_t, const std::string& name) -> std::optional<Place> {
    Place place{name};
    place.transposed = name == "ssm";
    return place;
  };
  run_stack(golden, session, stack);
}

}  // namespace

Family mamba_family() { return {"mamba", run_case<float>, run_case<double>}; }

}  // namespace conformance
