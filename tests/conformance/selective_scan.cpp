#include <conformance/stack.hpp>
#include <stepscan/layers/selective_scan.hpp>

/// selective_scan with real A: u, delta, B, C and z one behind the other.
namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time");
  const Index features = config.size("features"), states = config.size("state_size"), groups = config.size("groups");
  if (config.flag("complex")) stepscan::fail<FileError>("complex: expected false, for states are real, found true");
  const stepscan::SelectiveScanOptions options{.delta_softplus = config.flag("delta_softplus"),
                                               .delta_bias = config.flag("delta_bias"),
                                               .skip = config.flag("skip_D"),
                                               .gate = config.flag("gate_z"),
                                               .variable_B = config.flag("variable_B"),
                                               .variable_C = config.flag("variable_C")};
  golden.require_shape("in/u", {batch, time, features});
  golden.require_shape("param/A", {features, states});
  for (const char* name : {"in/state.h", "out/state.h", "cot/state.h"}) {
    if (golden.has(name)) golden.require_shape(name, {batch, features, states});
  }
  Stack<stepscan::SelectiveScan<S, Dynamic, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(features, states, groups, options);
  stack.parts = {{"u", features}, {"delta", features}};
  if (options.variable_B) stack.parts.push_back({"B", groups * states});
  if (options.variable_C) stack.parts.push_back({"C", groups * states});
  if (options.gate) stack.parts.push_back({"z", features});
  stack.parameter = [options](std::size_t, const std::string& name) -> std::optional<Place> {
    const bool absent = (name == "D" && !options.skip) || (name == "delta_bias" && !options.delta_bias) ||
                        (name == "B" && options.variable_B) || (name == "C" && options.variable_C);
    if (absent) return std::nullopt;
    return Place{name};
  };
  stack.state = own_name_transposed;
  run_stack(golden, session, stack);
}

}  // namespace

Family selective_scan_family() { return {"selective_scan", run_case<float>, run_case<double>}; }

}  // namespace conformance
