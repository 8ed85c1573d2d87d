#include <conformance/stack.hpp>
#include <stepscan/layers/mamba2_ssd.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index heads = config.size("heads"), head_dim = config.size("head_dim");
  const Index groups = config.size("groups"), state_dim = config.size("state_dim");
  stepscan::SsdOptions options;
  options.softplus = config.flag("dt_softplus");
  const std::vector<double> limits = config.numbers("dt_limit");
  if (limits.size() == 2) {
    options.low = limits[0];
    options.high = limits[1];
  } else if (!limits.empty()) {
    stepscan::fail<FileError>("config: \"dt_limit\": expected null or two numbers, found " +
                              std::to_string(limits.size()));
  }
  Stack<stepscan::Mamba2SsdScan<S, Dynamic, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(heads, head_dim, state_dim, groups, options);
  stack.parts = {{"x", heads * head_dim}, {"dt", heads}, {"B", groups * state_dim}, {"C", groups * state_dim}};
  stack.state = own_name_transposed;
  run_stack(golden, session, stack);
}

}  // namespace

Family mamba2_ssd_family() { return {"mamba2_ssd", run_case<float>, run_case<double>}; }

}  // namespace conformance
