#include <conformance/stack.hpp>
#include <stepscan/layers/selective_scan.hpp>

/// selective_scan: u, delta, B, C and z one behind the other; A, B, C and states real, or complex (.re and .im).
namespace conformance {

namespace {

/// The planes of a tensor of a case under a prefix; one that the case has as real numbers has no imaginary plane.
std::vector<std::string> planes_of(const Case& golden, const std::string& prefix, const std::string& name,
                                   bool complex) {
  if (!complex) return {name};
  return golden.has(prefix + name) ? std::vector<std::string>{name, ""}
                                   : std::vector<std::string>{name + ".re", name + ".im"};
}

template <Scalar S, std::size_t P>
void run_of(Case& golden, Session& session) {
  Config& config = golden.config;
  constexpr bool complex = P == 2;
  const Index batch = config.size("batch"), time = config.size("time");
  const Index features = config.size("features"), states = config.size("state_size"), groups = config.size("groups");
  const stepscan::SelectiveScanOptions options{.delta_softplus = config.flag("delta_softplus"),
                                               .delta_bias = config.flag("delta_bias"),
                                               .skip = config.flag("skip_D"),
                                               .gate = config.flag("gate_z"),
                                               .variable_B = config.flag("variable_B"),
                                               .variable_C = config.flag("variable_C")};
  golden.require_shape("in/u", {batch, time, features});
  for (const std::string& plane : planes_of(golden, "param/", "A", complex)) {
    if (!plane.empty()) golden.require_shape("param/" + plane, {features, states});
  }
  for (const char* prefix : {"in/state.", "out/state.", "cot/state."}) {
    for (const std::string& plane : planes_of(golden, prefix, "h", complex)) {
      if (golden.has(prefix + plane)) golden.require_shape(prefix + plane, {batch, features, states});
    }
  }
  Stack<stepscan::SelectiveScan<S, Dynamic, Dynamic, Dynamic, stepscan::Chunked<>, P>> stack;
  stack.layers.emplace_back(features, states, groups, options);
  stack.parts = {{"u", features}, {"delta", features}};
  const auto add_weights = [&](const char* name) {
    for (const std::string& plane : planes_of(golden, "in/", name, complex))
      stack.parts.push_back({plane, groups * states});
  };
  if (options.variable_B) add_weights("B");
  if (options.variable_C) add_weights("C");
  if (options.gate) stack.parts.push_back({"z", features});
  stack.parameter = [options, &golden](std::size_t, const std::string& name) -> std::optional<Place> {
    const char first = name.front();
    const bool absent = (first == 'D' && !options.skip) || (first == 'd' && !options.delta_bias) ||
                        (first == 'B' && options.variable_B) || (first == 'C' && options.variable_C);
    if (absent) return std::nullopt;
    const std::string whole = name.substr(0, name.find('.'));
    if (!golden.has("param/" + whole)) return Place{name};
    return name.ends_with(".im") ? std::nullopt : std::optional(Place{whole});
  };
  stack.state = own_name_transposed;
  run_stack(golden, session, stack);
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  golden.config.flag("complex") ? run_of<S, 2>(golden, session) : run_of<S, 1>(golden, session);
}

}  // namespace

Family selective_scan_family() { return {"selective_scan", run_case<float>, run_case<double>}; }

}  // namespace conformance
