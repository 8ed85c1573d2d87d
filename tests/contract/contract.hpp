#pragma once

#include <contract/adapter.hpp>
#include <functional>
#include <support/catch.hpp>

namespace stepscan::testing {

/// What a layer may state about itself; the defaults hold for most.
struct Options {
  std::uint64_t seed = 1;
  /// A state tensor of this name is positive: a normaliser.
  std::string positive_state = "n";
  /// How far the forms may lie apart where parameters are multiplied by up to 1000.
  double strong_tolerance = 1e-6;
  /// Makes a parameter of this name valid, whatever it was multiplied by: a logarithm whose exponential must not
  /// overflow.
  std::function<double(const std::string& name, double value)> valid_parameter = {};
  /// Makes the value of an input feature valid: a log decay must not be positive.
  std::function<double(Index feature, double value)> valid_input = {};
};

/// All that DESIGN asks of a layer, run as sections of the calling test case. In float: everything but the finite
/// differences.
void check(TrainableModel<double>& model, const Options& options);
void check(TrainableModel<float>& model, const Options& options);

/// `make()` returns the layer, parameters of any value.
template <class Make>
void contract(Make&& make, const Options& options = {}) {
  using L = decltype(make());
  static_assert(SequenceLayer<L> && ParameterisedLayer<L>);
  static_assert(SequenceLayer<decltype(prepare(make()))>);
  static_assert(std::same_as<typename L::State, typename decltype(prepare(make()))::State>,
                "a plan shares its layer's State");
  TrainableLayerModel<L> model(make());
  check(model, options);
}

}  // namespace stepscan::testing
