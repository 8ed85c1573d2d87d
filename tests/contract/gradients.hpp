#pragma once

#include <contract/probe.hpp>

namespace stepscan::testing {

/// What a forward and a backward pass give.
template <class S>
struct Gradient {
  struct Parameter {
    std::string name;
    std::vector<S> values;
  };
  Outcome<S> outcome;
  std::vector<Parameter> parameters;
  Sequence<S> dx;
  AnyState<S> dstart;
};

/// The gradient of <dy, y> + <dend, end>; added to what the model's gradient holds unless `fresh`.
template <class S>
Gradient<S> gradient(TrainableModel<S>& model, std::size_t form, const AnyState<S>& start, SequenceView<const S> x,
                     SequenceView<const S> dy, const AnyState<S>& dend, bool fresh = true) {
  const S untouched = static_cast<S>(not_a_number);
  Gradient<S> result{{Sequence<S>(x.batch, model.output_time(x.time), model.outputs), start},
                     {},
                     Sequence<S>(x.batch, x.time, x.features),
                     model.initial_state(x.batch)};
  result.outcome.y.fill(untouched);
  result.dx.fill(untouched);
  for (const auto& tensor : result.dstart.tensors()) std::fill(tensor.numbers.begin(), tensor.numbers.end(), untouched);
  if (fresh) {
    for (const auto& tensor : model.gradient()) std::fill(tensor.numbers.begin(), tensor.numbers.end(), S(0));
  }
  model.forward(form, result.outcome.end, x, result.outcome.y);
  model.backward(dy, dend, result.dx, result.dstart);
  for (const auto& tensor : model.gradient())
    result.parameters.push_back({tensor.name, {tensor.numbers.begin(), tensor.numbers.end()}});
  return result;
}

template <class S>
Difference difference(const Gradient<S>& a, const Gradient<S>& b, double floor = 1e-6) {
  Difference worst;
  for (std::size_t i = 0; i < a.parameters.size(); ++i) {
    worst.include(a.parameters[i].name, distance<S>(a.parameters[i].values, b.parameters[i].values, floor));
  }
  worst.include("x", distance<S>(a.dx.span(), b.dx.span(), floor));
  const auto left = a.dstart.tensors(), right = b.dstart.tensors();
  for (std::size_t i = 0; i < left.size(); ++i) {
    worst.include("state." + left[i].name, distance<S>(left[i].numbers, right[i].numbers, floor));
  }
  return worst;
}

template <class S>
bool same_bits(const Gradient<S>& a, const Gradient<S>& b) {
  for (std::size_t i = 0; i < a.parameters.size(); ++i) {
    const auto left = std::as_bytes(std::span(a.parameters[i].values)),
               right = std::as_bytes(std::span(b.parameters[i].values));
    if (!std::equal(left.begin(), left.end(), right.begin(), right.end())) return false;
  }
  return bytes(a.dx) == bytes(b.dx) && bytes(a.dstart.tensors()) == bytes(b.dstart.tensors()) &&
         same_bits(a.outcome, b.outcome);
}

}  // namespace stepscan::testing
