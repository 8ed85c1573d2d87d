#include <conformance/stack.hpp>
#include <stepscan/layers/s5.hpp>

namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index features = config.size("features"), states = config.size("state_size");
  golden.require_shape("in/x", {config.size("batch"), config.size("time"), features});
  stepscan::S5Options options;
  if (config.choice("discretization", {"zoh", "bilinear"}) == 1) options.discretization = stepscan::bilinear;
  options.conj_sym = config.flag("conj_sym");
  options.clip_eigs = config.flag("clip_eigs");
  options.step_scale = config.number("step_rescale");
  const auto run = [&](auto both_ways) {
    Stack<stepscan::S5<S, Dynamic, Dynamic, both_ways>> stack;
    stack.layers.emplace_back(features, states, options);
    run_stack(golden, session, stack);
  };
  if (config.flag("bidirectional")) {
    run(std::true_type{});
  } else {
    run(std::false_type{});
  }
}

}  // namespace

Family s5_family() { return {"s5", run_case<float>, run_case<double>}; }

}  // namespace conformance
