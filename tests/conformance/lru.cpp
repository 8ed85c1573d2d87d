#include <conformance/stack.hpp>
#include <stepscan/layers/lru.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index features = config.size("features"), states = config.size("state_size");
  golden.require_shape("in/x", {config.size("batch"), config.size("time"), features});
  Stack<stepscan::Lru<S, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(features, states);
  run_stack(golden, session, stack);
}

}  // namespace

Family lru_family() { return {"lru", run_case<float>, run_case<double>}; }

}  // namespace conformance
