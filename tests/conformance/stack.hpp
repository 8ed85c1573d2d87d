#pragma once

#include <conformance/forms.hpp>
#include <conformance/parts.hpp>
#include <conformance/session.hpp>
#include <functional>
#include <optional>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/layers/backward.hpp>
#include <stepscan/layers/layer.hpp>

namespace conformance {

/// Where a tensor of a layer lies in a case: part `part` of `parts` equal ones of the tensor `name`; its last two
/// dimensions may have changed places there.
struct Place {
  std::string name;
  Index part = 0;
  Index parts = 1;
  bool transposed = false;
};

/// From a stack's layer and the dotted name of one of its tensors to its place; nothing: not in the case.
using Naming = std::function<std::optional<Place>(std::size_t layer, const std::string& name)>;

/// A layer's own names, for a case of one layer.
inline std::optional<Place> own_name(std::size_t, const std::string& name) { return Place{name}; }

/// The same for tensors whose last two dimensions have changed places in the case.
inline std::optional<Place> own_name_transposed(std::size_t, const std::string& name) {
  return Place{.name = name, .transposed = true};
}

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
};

namespace detail {

/// The position, in a tensor of the case, of number i of a tensor of this shape.
template <class Shape>
Index place_of(const Place& place, const Shape& shape, Index i) {
  if (!place.transposed) return i;
  const Index rows = shape[shape.size() - 2], cols = shape[shape.size() - 1], matrix = i / (rows * cols);
  const Index row = i / cols % rows, col = i % cols;
  return (matrix * cols + col) * rows + row;
}

/// Reads the tensors of a tree that are in the case under `prefix`.
template <class Tree>
void read_tree(Case& golden, const std::string& prefix, const Naming& naming, std::size_t layer, Tree& tree) {
  stepscan::for_each_tensor([&](const stepscan::Path& path, auto& tensor) {
    const auto place = naming(layer, path.str());
    if (!place || !golden.has(prefix + place->name)) return;
    const std::vector<double> values = golden.values(prefix + place->name);
    if (static_cast<Index>(values.size()) != tensor.size() * place->parts) {
      stepscan::fail<ShapeError>(prefix + place->name + ": expected " + std::to_string(tensor.size() * place->parts) +
                                 " numbers, found " + std::to_string(values.size()));
    }
    for (Index i = 0; i < tensor.size(); ++i) {
      using S = typename std::remove_cvref_t<decltype(tensor)>::value_type;
      const Index at = place->part * tensor.size() + place_of(*place, tensor.shape(), i);
      tensor[i] = static_cast<S>(values[static_cast<std::size_t>(at)]);
    }
  }, tree);
}

/// Adds the tensors of a tree to the results; the parts of a tensor come in their order.
template <class Tree>
void add_tree(Results& results, const std::string& prefix, const Naming& naming, std::size_t layer, const Tree& tree) {
  stepscan::for_each_tensor([&](const stepscan::Path& path, const auto& tensor) {
    const auto place = naming(layer, path.str());
    if (!place) return;
    auto values = tensor;
    for (Index i = 0; i < tensor.size(); ++i) values[place_of(*place, tensor.shape(), i)] = tensor[i];
    results.add(prefix + place->name, std::as_const(values).span());
  }, tree);
}

template <Scalar S>
using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

/// A sequence of a case [batch, time, ...] as [batch, time, features].
template <Scalar S>
Sequence<S> read_sequence(Case& golden, const std::string& name, bool time_major, Index features) {
  const std::vector<Index>& shape = golden.shape(name);
  Index count = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) count *= shape[i];
  if (shape.size() < 3 || count != features) {
    stepscan::fail<ShapeError>(name + ": expected a batch of sequences of " + std::to_string(features) +
                               " features, found shape " + stepscan::shape_text(shape));
  }
  const std::vector<double> values = golden.values(name);
  const Index batch = shape[time_major ? 1 : 0], time = shape[time_major ? 0 : 1];
  Sequence<S> sequence(batch, time, features);
  for (Index b = 0; b < batch; ++b) {
    for (Index t = 0; t < time; ++t) {
      const Index token = time_major ? t * batch + b : b * time + t;
      for (Index i = 0; i < features; ++i) sequence(b, t, i) = static_cast<S>(values[static_cast<std::size_t>(token * features + i)]);
    }
  }
  return sequence;
}

template <Scalar S>
void add_sequence(Results& results, const std::string& name, const Sequence<S>& sequence, bool time_major) {
  if (!time_major) return results.add(name, std::span<const S>(sequence.span()));
  for (Index t = 0; t < sequence.extent(1); ++t) {
    for (Index b = 0; b < sequence.extent(0); ++b) {
      results.add(name, std::span<const S>(sequence.data() + (b * sequence.extent(1) + t) * sequence.extent(2),
                                           static_cast<std::size_t>(sequence.extent(2))));
    }
  }
}

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
Results outputs_of(const Stack<L>& stack, const Sequence<typename L::scalar_type>& y, const std::vector<typename L::State>& end) {
  Results results;
  add_sequence(results, "out/y", y, stack.time_major);
  for (std::size_t l = 0; l < end.size(); ++l) add_tree(results, "out/state.", stack.state, l, end[l]);
  if (stack.more_results) stack.more_results(stack.layers, results);
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
  std::vector<L> gradients;
  for (const L& layer : stack.layers) gradients.push_back(stepscan::zeros_like(layer));
  for (std::size_t l = count; l-- > 0;) {
    Sequence<S> dx(problem.x.extent(0), problem.x.extent(1), stack.layers[l].input_size());
    stack.layers[l].backward(tapes[l], std::as_const(dy), problem.dend[l], gradients[l], dx, states[l]);
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
        compare(detail::through_layers(stack, problem, [&](std::size_t l, auto& state, const auto& x, auto& y) {
          stack.layers[l].scan(state, x, y, form);
        }), false);
        compare(detail::through_layers(stack, problem, [&](std::size_t l, auto& state, const auto& x, auto& y) {
          plans[l].scan(state, x, y, form);
        }), false);
        if (golden.has_gradients()) compare(detail::train(stack, problem, form), true);
      });
      if constexpr (L::causal && std::is_same_v<Traits, FormTraits<stepscan::Recurrent>>) {
        compare(detail::through_layers(stack, problem, [&](std::size_t l, auto& state, const auto& x, auto& y) {
          const stepscan::SequenceView in(x);
          const stepscan::SequenceView out(y);
          for (Index t = 0; t < in.time; ++t) plans[l].step(state, in.frame(t), out.frame(t));
        }), false);
      }
    });
  });
}

}  // namespace conformance
