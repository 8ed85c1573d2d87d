#include <conformance/stack.hpp>
#include <stepscan/layers/lssl.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time"), features = config.size("features");
  const Index states = config.size("state_size"), channels = config.size("channels");
  static_cast<void>(config.choice("discretization", {"bilinear"}));
  golden.require_shape("in/x", {batch, time, features});
  golden.require_shape("param/C", {features, channels, states});
  Stack<stepscan::Lssl<S, Dynamic, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(features, states, channels);
  stack.state = own_name_transposed;
  run_stack(golden, session, stack);
}

}  // namespace

Family lssl_family() { return {"lssl", run_case<float>, run_case<double>}; }

}  // namespace conformance
