#include <conformance/kernel.hpp>
#include <stepscan/layers/s4d.hpp>

/// s4d, with its impulse response.
namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time");
  const Index features = config.size("features"), states = config.size("state_size");
  static_cast<void>(config.choice("init", {"lin", "inv", "quad", "legs"}));  // the parameters say it all
  const bool hold = config.choice("discretization", {"zoh", "bilinear"}) == 0;
  golden.require_shape("in/x", {batch, time, features});
  golden.require_shape("param/A_im", {features, states / 2});
  require_states(golden, {batch, features, states / 2});
  Stack<stepscan::S4d<S, Dynamic, Dynamic>> stack;
  stack.layers.emplace_back(features, states,
                            stepscan::S4dOptions{hold ? stepscan::zero_order_hold : stepscan::bilinear});
  stack.state = own_name_transposed;
  add_kernel(golden, stack);
  run_stack(golden, session, stack);
}

}  // namespace

Family s4d_family() { return {"s4d", run_case<float>, run_case<double>}; }

}  // namespace conformance
