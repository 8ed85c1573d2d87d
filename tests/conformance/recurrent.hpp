#pragma once

#include <conformance/stack.hpp>
#include <stepscan/models/bidirectional.hpp>

/// lstm, gru, elman_rnn: PyTorch's parameters, `num_layers` layers of one or two directions.
namespace conformance {

struct RecurrentSizes {
  Index inputs = 0;
  Index hidden = 0;
  Index layers = 1;
  bool bidirectional = false;
  bool bias = true;
  bool batch_first = true;
};

inline RecurrentSizes read_recurrent_sizes(Config& config) {
  return {config.size("input_size"),    config.size("hidden_size"), config.size("num_layers"),
          config.flag("bidirectional"), config.flag("bias"),        config.flag("batch_first")};
}

/// "weight_ih" of layer 1's backward direction is "weight_ih_l1_reverse".
inline std::string torch_name(const std::string& name, std::size_t layer, bool reverse) {
  return name + "_l" + std::to_string(layer) + (reverse ? "_reverse" : "");
}

/// Throws unless all parameters are there in their shapes, before any memory is taken for them.
inline void check_parameters(const Case& golden, const RecurrentSizes& sizes, Index gates) {
  const Index directions = sizes.bidirectional ? 2 : 1, rows = gates * sizes.hidden;
  for (Index l = 0; l < sizes.layers; ++l) {
    const Index inputs = l == 0 ? sizes.inputs : directions * sizes.hidden;
    for (Index direction = 0; direction < directions; ++direction) {
      const auto name = [&](const char* parameter) {
        return "param/" + torch_name(parameter, static_cast<std::size_t>(l), direction == 1);
      };
      golden.require_shape(name("weight_ih"), {rows, inputs});
      golden.require_shape(name("weight_hh"), {rows, sizes.hidden});
      if (sizes.bias) {
        golden.require_shape(name("bias_ih"), {rows});
        golden.require_shape(name("bias_hh"), {rows});
      }
    }
  }
}

/// A case's states are [layers * directions, batch, hidden].
inline void check_states(const Case& golden, const RecurrentSizes& sizes) {
  const Index directions = sizes.bidirectional ? 2 : 1;
  for (const char* name : {"in/state.h", "in/state.c", "out/state.h", "out/state.c", "cot/state.h", "cot/state.c"}) {
    if (!golden.has(name)) continue;
    const std::vector<Index>& x = golden.shape("in/x");
    golden.require_shape(name,
                         {sizes.layers * directions, x.size() == 3 ? x[sizes.batch_first ? 0 : 1] : 0, sizes.hidden});
  }
}

/// The tensor without its direction, and the direction.
inline std::pair<std::string, bool> split_direction(const std::string& name) {
  const bool backward = name.starts_with("backward.");
  return {name.substr(backward ? 9 : name.starts_with("forward.") ? 8 : 0), backward};
}

template <class L>
void name_tensors(Stack<L>& stack, const RecurrentSizes& sizes) {
  const Index directions = sizes.bidirectional ? 2 : 1;
  stack.time_major = !sizes.batch_first;
  stack.parameter = [sizes](std::size_t layer, const std::string& name) -> std::optional<Place> {
    const auto [tensor, backward] = split_direction(name);
    if (!sizes.bias && tensor.starts_with("bias")) return std::nullopt;
    return Place{torch_name(tensor, layer, backward)};
  };
  stack.state = [sizes, directions](std::size_t layer, const std::string& name) -> std::optional<Place> {
    const auto [tensor, backward] = split_direction(name);
    return Place{tensor, static_cast<Index>(layer) * directions + (backward ? 1 : 0), sizes.layers * directions};
  };
}

/// A stack of layers L, a class with Dynamic sizes, from its config and parameters.
template <class L>
void run_recurrent(Case& golden, Session& session, const RecurrentSizes& sizes, Index gates) {
  check_parameters(golden, sizes, gates);
  check_states(golden, sizes);
  const auto inputs = [&](Index l, Index directions) { return l == 0 ? sizes.inputs : directions * sizes.hidden; };
  if (sizes.bidirectional) {
    Stack<stepscan::Bidirectional<L>> stack;
    for (Index l = 0; l < sizes.layers; ++l)
      stack.layers.emplace_back(L(inputs(l, 2), sizes.hidden), L(inputs(l, 2), sizes.hidden));
    name_tensors(stack, sizes);
    run_stack(golden, session, stack);
  } else {
    Stack<L> stack;
    for (Index l = 0; l < sizes.layers; ++l) stack.layers.emplace_back(inputs(l, 1), sizes.hidden);
    name_tensors(stack, sizes);
    run_stack(golden, session, stack);
  }
}

}  // namespace conformance
