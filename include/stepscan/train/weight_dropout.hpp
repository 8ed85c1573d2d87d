#pragma once

#include <functional>
#include <stepscan/core/fields.hpp>
#include <stepscan/ops/dropout.hpp>
#include <string_view>

namespace stepscan::inline STEPSCAN_ISA {

/// The weights that a recurrent layer multiplies its own last output by: weight_hh (Lstm, Gru, ElmanRnn), recurrent
/// (their multi-head kin, Slstm).
[[nodiscard]] inline bool is_recurrent_weight(std::string_view path) noexcept {
  const std::string_view name = path.substr(path.rfind('.') + 1);
  return name == "weight_hh" || name == "recurrent";
}

/// Dropout of recurrent connections (DropConnect on the recurrent weights, AWD-LSTM, arXiv 1708.02182, section 3):
/// every such weight is 0 with probability `rate` and else divided by 1 - rate, for all tokens and sequences of one
/// training step alike. What becomes of a weight is a function of the seed, the step, the parameter and the weight's
/// position.
///
/// The gradient goes through the same mask, so that one function serves both ways:
///   Model dropped = model;
///   drop_weights(dropped, rate, seed, step);
///   ... forward and backward with `dropped`, into a cleared `gradient` ...
///   drop_weights(gradient, rate, seed, step);          // now the gradient of `model`
/// Throws ArgumentError for a rate outside [0, 1).
template <Tree T>
void drop_weights(T& tree, double rate, std::uint64_t seed, std::uint64_t step,
                  const std::function<bool(std::string_view path)>& applies = is_recurrent_weight) {
  if (!(rate >= 0 && rate < 1)) {
    fail<ArgumentError>("drop_weights: expected a rate in [0, 1), found " + std::to_string(rate));
  }
  const DropoutRule rule{rate};
  std::uint64_t number = 0;
  for_each_tensor(
      [&](const Path& path, auto& tensor) {
        const DropoutPlace place{dropout_key(seed, number++), step, 0};
        if (applies(path.str())) rule.apply(place, 0, tensor.size(), tensor.data(), tensor.data());
      },
      tree);
}

}  // namespace stepscan::inline STEPSCAN_ISA
