#include <conformance/kernel.hpp>
#include <stepscan/layers/s4.hpp>

/// s4, with its impulse response and the C~ of which it is made.
namespace conformance {

namespace {

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Index batch = config.size("batch"), time = config.size("time"), length = config.size("kernel_length");
  const Index features = config.size("features"), states = config.size("state_size");
  if (config.size("rank") != 1) stepscan::fail<FileError>("rank: expected 1");
  static_cast<void>(config.text("measure"));  // the parameters say it all
  static_cast<void>(config.choice("discretization", {"bilinear"}));
  golden.require_shape("in/x", {batch, time, features});
  golden.require_shape("param/Lambda.re", {features, states / 2});
  require_states(golden, {batch, features, states / 2});
  using L = stepscan::S4<S, Dynamic, Dynamic>;
  Stack<L> stack;
  stack.layers.emplace_back(features, states);
  stack.state = own_name_transposed;
  add_kernel(golden, stack);
  stack.more_results = [length, kernel = stack.more_results](const std::vector<L>& layers, Results& results) {
    if (kernel) kernel(layers, results);
    stepscan::ComplexTensor<S, Dynamic, Dynamic> outputs(layers.front().input_size(), layers.front().modes());
    stepscan::Workspace workspace;
    layers.front().truncated_outputs(length, outputs.re, outputs.im, workspace);
    results.add("out/Ctilde.re", std::as_const(outputs.re).span());
    results.add("out/Ctilde.im", std::as_const(outputs.im).span());
  };
  run_stack(golden, session, stack);
}

}  // namespace

Family s4_family() { return {"s4", run_case<float>, run_case<double>}; }

}  // namespace conformance
