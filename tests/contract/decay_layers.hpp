#pragma once

#include <cmath>
#include <contract/contract.hpp>

namespace stepscan::testing {

/// The options of a layer whose inputs from `first` on are log decays: they must not be positive.
inline Options with_log_decays(Index first) {
  Options options;
  options.valid_input = [first](Index feature, double value) { return feature < first ? value : -std::abs(value); };
  return options;
}

}  // namespace stepscan::testing
