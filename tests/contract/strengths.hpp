#pragma once

#include <contract/probe.hpp>

namespace stepscan::testing {

/// One point of the sweep over gate strengths.
struct Strength {
  std::string name;
  double parameters = 1;  ///< all parameters times this
  double inputs = 1;      ///< all inputs times this
  double bias = 0;        ///< added to the biases: 13.8 is a gate of 1 - 1e-6, 16.1 of 1 - 1e-7
  bool mixed_bias = false;  ///< the bias with a random sign per unit
  Index time = 3 * tested_chunk + 1;
  bool strong = false;  ///< rounding errors may grow from token to token
};

/// Sets the model's parameters to each strength in turn, prepares its plan and calls f(strength). In float large
/// parameters are left out: an unbounded activation leaves the range within few tokens.
template <class S, class Function>
void for_each_strength(Probe<S>& probe, Function&& f) {
  std::vector<Strength> strengths{
      {.name = "parameters 1e-6", .parameters = 1e-6},
      {.name = "inputs 1e-6", .inputs = 1e-6},
      {.name = "inputs 1e3", .inputs = 1e3},
      {.name = "bias +16.1", .bias = 16.1},
      {.name = "bias -16.1", .bias = -16.1},
      {.name = "bias +-13.8", .bias = 13.8, .mixed_bias = true},
      {.name = "bias +-16.1", .bias = 16.1, .mixed_bias = true},
  };
  if (is_double<S>) {
    strengths.push_back({.name = "parameters 10", .parameters = 10, .time = 2 * tested_chunk, .strong = true});
    strengths.push_back({.name = "parameters 1e3", .parameters = 1e3, .time = tested_chunk + 2, .strong = true});
  }
  const std::vector<NamedValues<S>> parameters = probe.model.parameters();
  const std::vector<S> own = numbers(parameters);
  for (const Strength& strength : strengths) {
    auto value = own.begin();
    for (const auto& parameter : parameters) {
      const bool bias = parameter.name.find("bias") != std::string::npos;
      for (S& number : parameter.numbers) {
        const double sign = strength.mixed_bias && probe.random.uniform() < 0.5 ? -1 : 1;
        const double strong = strength.parameters * static_cast<double>(*value++) + (bias ? sign * strength.bias : 0);
        const auto& valid = probe.options.valid_parameter;
        number = static_cast<S>(valid ? valid(parameter.name, strong) : strong);
      }
    }
    probe.plan = probe.model.plan();
    f(strength);
  }
}

}  // namespace stepscan::testing
