#pragma once

#include <conformance/forms.hpp>
#include <conformance/parts.hpp>
#include <conformance/trees.hpp>
#include <functional>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/layer.hpp>

namespace conformance {

/// Layers one upon another, and how their tensors are named in the case.
template <class L>
struct Stack {
  std::vector<L> layers;
  Naming parameter = own_name;
  Naming state = own_name;
  bool time_major = false;       ///< sequences lie as [time, batch, features]
  std::vector<InputPart> parts;  ///< what the input is put together from; empty: in/x
  /// Adds results that follow from the parameters alone, and what their cotangents give to the gradients.
  std::function<void(const std::vector<L>& layers, Results& results)> more_results = {};
  std::function<void(const std::vector<L>& layers, std::vector<L>& gradients)> pull_more = {};
  /// Results that the case derives from the last state, and their cotangents as those of that state, to be added.
  std::function<void(const typename L::State& end, Results& results)> derive = {};
  std::function<void(const typename L::State& end, typename L::State& dend)> derive_cotangents = {};
};

namespace detail {

/// All that a case gives a stack to work on.
template <class L>
struct StackProblem {
  using S = typename L::scalar_type;
  Sequence<S> x;
  std::vector<typename L::State> start;
  Sequence<S> dy;
  std::vector<typename L::State> dend;
};

template <class L>
StackProblem<L> read_problem(Case& golden, const Stack<L>& stack) {
  using S = typename L::scalar_type;
  StackProblem<L> problem;
  const auto read = [&](const std::string& name, Index features) {
    return read_sequence<S>(golden, name, stack.time_major, features);
  };
  problem.x = stack.parts.empty() ? read("in/x", stack.layers.front().input_size()) : join_parts(stack.parts, read);
  const Index batch = problem.x.extent(0);
  for (std::size_t l = 0; l < stack.layers.size(); ++l) {
    problem.start.push_back(stack.layers[l].initial_state(batch));
    read_tree(golden, "in/state.", stack.state, l, problem.start.back());
    problem.dend.push_back(stack.layers[l].initial_state(batch));
    read_tree(golden, "cot/state.", stack.state, l, problem.dend.back());
  }
  const Index outputs = stack.layers.back().output_size();
  problem.dy = golden.has("cot/y") ? read_sequence<S>(golden, "cot/y", stack.time_major, outputs)
                                   : Sequence<S>(batch, problem.x.extent(1), outputs);
  if (problem.dy.extent(0) != batch || problem.dy.extent(1) != problem.x.extent(1)) {
    stepscan::fail<ShapeError>("cot/y: expected the batch and time of in/x, " +
                               stepscan::shape_text({batch, problem.x.extent(1)}) + ", found " +
                               stepscan::shape_text({problem.dy.extent(0), problem.dy.extent(1)}));
  }
  return problem;
}

template <class L>
Results outputs_of(const Stack<L>& stack, const Sequence<typename L::scalar_type>& y,
                   const std::vector<typename L::State>& end) {
  Results results;
  add_sequence(results, "out/y", y, stack.time_major);
  for (std::size_t l = 0; l < end.size(); ++l) add_tree(results, "out/state.", stack.state, l, end[l]);
  if (stack.more_results) stack.more_results(stack.layers, results);
  if (stack.derive) stack.derive(end.back(), results);
  return results;
}

/// One sequence through all layers; run(layer, state, x, y) takes it through one.
template <class L, class Run>
Results through_layers(const Stack<L>& stack, const StackProblem<L>& problem, Run&& run) {
  using S = typename L::scalar_type;
  std::vector<typename L::State> states = problem.start;
  Sequence<S> x = problem.x;
  for (std::size_t l = 0; l < stack.layers.size(); ++l) {
    Sequence<S> y(x.extent(0), x.extent(1), stack.layers[l].output_size());
    run(l, states[l], x, y);
    x = std::move(y);
  }
  return outputs_of(stack, x, states);
}

template <class L, class Form>
Results train(const Stack<L>& stack, const StackProblem<L>& problem, const Form& form) {
  using S = typename L::scalar_type;
  const std::size_t count = stack.layers.size();
  std::vector<stepscan::Tape<L>> tapes(count);
  std::vector<Sequence<S>> sequences{problem.x};
  std::vector<typename L::State> states = problem.start;
  for (const L& layer : stack.layers) {
    sequences.emplace_back(problem.x.extent(0), problem.x.extent(1), layer.output_size());
  }
  for (std::size_t l = 0; l < count; ++l) {
    stack.layers[l].forward(states[l], std::as_const(sequences[l]), sequences[l + 1], tapes[l], form);
  }
  Results results = outputs_of(stack, sequences.back(), states);

  Sequence<S> dy = problem.dy;
  std::vector<typename L::State> dend = problem.dend;
  if (stack.derive_cotangents) stack.derive_cotangents(states.back(), dend.back());
  std::vector<L> gradients;
  for (const L& layer : stack.layers) gradients.push_back(stepscan::zeros_like(layer));
  for (std::size_t l = count; l-- > 0;) {
    Sequence<S> dx(problem.x.extent(0), problem.x.extent(1), stack.layers[l].input_size());
    stack.layers[l].backward(tapes[l], std::as_const(dy), dend[l], gradients[l], dx, states[l]);
    dy = std::move(dx);
  }
  if (stack.pull_more) stack.pull_more(stack.layers, gradients);
  if (stack.parts.empty()) {
    add_sequence(results, "grad/in/x", dy, stack.time_major);
  } else {
    add_parts(results, stack.parts, dy);
  }
  for (std::size_t l = 0; l < count; ++l) {
    add_tree(results, "grad/param/", stack.parameter, l, gradients[l]);
    add_tree(results, "grad/in/state.", stack.state, l, states[l]);
  }
  return results;
}

}  // namespace detail

/// Reads the parameters of a stack whose sizes are right, and runs it in every form: the layers, their plans, a loop of
/// steps where there are any, and the backward pass.
template <class L>
void run_stack(Case& golden, Session& session, Stack<L>& stack) {
  for (std::size_t l = 0; l < stack.layers.size(); ++l) {
    detail::read_tree(golden, "param/", stack.parameter, l, stack.layers[l]);
  }
  const detail::StackProblem<L> problem = detail::read_problem(golden, stack);
  golden.check_all_read();
  std::vector<decltype(stepscan::prepare(stack.layers.front()))> plans;
  for (const L& layer : stack.layers) plans.push_back(stepscan::prepare(layer));

  for_each_form<typename L::Forms>([&]<class Traits>(Traits) {
    session.form(Traits::name, Traits::iterative, [&](const auto& compare) {
      for_each_way<Traits>([&](const auto& form) {
        compare(detail::through_layers(stack, problem,
                                       [&](std::size_t l, auto& state, const auto& x, auto& y) {
                                         stack.layers[l].scan(state, x, y, form);
                                       }),
                false);
        compare(detail::through_layers(
                    stack, problem,
                    [&](std::size_t l, auto& state, const auto& x, auto& y) { plans[l].scan(state, x, y, form); }),
                false);
        if (golden.has_gradients()) compare(detail::train(stack, problem, form), true);
      });
      if constexpr (L::causal && std::is_same_v<Traits, FormTraits<stepscan::Recurrent>>) {
        compare(detail::through_layers(stack, problem,
                                       [&](std::size_t l, auto& state, const auto& x, auto& y) {
                                         const stepscan::SequenceView in(x);
                                         const stepscan::SequenceView out(y);
                                         for (Index t = 0; t < in.time; ++t)
                                           plans[l].step(state, in.frame(t), out.frame(t));
                                       }),
                false);
      }
    });
  });
}

}  // namespace conformance
