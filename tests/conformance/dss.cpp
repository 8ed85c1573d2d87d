#include <conformance/kernel.hpp>
#include <stepscan/layers/dss.hpp>

/// dss, with its impulse response.
namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time");
  const Index features = config.size("features"), states = config.size("state_size");
  const stepscan::DssOptions options{.kernel_length = config.size("kernel_length"), .eps = config.number("eps")};
  golden.require_shape("in/x", {batch, time, features});
  golden.require_shape("param/A.re", {features, states});
  Stack<stepscan::Dss<S, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(features, states, options);
  stack.state = own_name_transposed;
  add_kernel(golden, stack);
  run_stack(golden, session, stack);
}

}  // namespace

Family dss_family() { return {"dss", run_case<float>, run_case<double>}; }

}  // namespace conformance
