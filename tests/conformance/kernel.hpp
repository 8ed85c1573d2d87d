#pragma once

#include <conformance/stack.hpp>

namespace conformance {

/// Checks the shape of the complex states that the case has.
inline void require_states(const Case& golden, const std::vector<Index>& shape) {
  for (const char* name : {"in/state.h.re", "out/state.h.re", "cot/state.h.re"}) {
    if (golden.has(name)) golden.require_shape(name, shape);
  }
}

/// Lets a stack of one layer give its impulse response [features, time], where the case has one, and its gradient.
template <class L>
void add_kernel(Case& golden, Stack<L>& stack) {
  using S = typename L::scalar_type;
  if (!golden.has("out/kernel")) return;
  const std::vector<Index> shape = golden.shape("out/kernel");
  if (shape.size() != 2 || shape[0] != stack.layers.front().input_size()) {
    stepscan::fail<ShapeError>("out/kernel: expected a row for each of " +
                               std::to_string(stack.layers.front().input_size()) + " features, found shape " +
                               stepscan::shape_text(shape));
  }
  Tensor<S, Dynamic, Dynamic> cotangent(shape[0], shape[1]);
  if (golden.has("cot/kernel")) {
    golden.require_shape("cot/kernel", shape);
    golden.read("cot/kernel", cotangent.data());
  }
  stack.more_results = [shape](const std::vector<L>& layers, Results& results) {
    Tensor<S, Dynamic, Dynamic> kernel(shape[0], shape[1]);
    stepscan::Workspace workspace;
    layers.front().kernel(stepscan::MatrixView<S>(kernel), workspace);
    results.add("out/kernel", std::as_const(kernel).span());
  };
  stack.pull_more = [cotangent](const std::vector<L>& layers, std::vector<L>& gradients) {
    stepscan::Workspace workspace;
    stepscan::Training<L>::kernel_backward(layers.front(), stepscan::MatrixView<const S>(cotangent), gradients.front(),
                                           workspace);
  };
}

}  // namespace conformance
