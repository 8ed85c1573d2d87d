#pragma once

#include <cstdint>
#include <stepscan/train/trees.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// An exponential moving average of a model's parameters (Polyak and Juditsky 1992; torch.optim.swa_utils), a tree that
/// is saved and loaded like a model:
///   average = the model at first,   then average = decay average + (1 - decay) model after every step
template <Tree Model>
class ExponentialAverage {
 public:
  Model average;
  Tensor<std::int64_t, 1> updates;  ///< so far

  static constexpr auto fields() {
    return std::tuple{Field{"average", &ExponentialAverage::average}, Field{"updates", &ExponentialAverage::updates}};
  }

  /// Throws ArgumentError for a decay outside [0, 1).
  ExponentialAverage(const Model& model, double decay) : average(model), decay_(decay) {
    if (!(decay >= 0 && decay < 1)) {
      fail<ArgumentError>("ExponentialAverage: expected a decay in [0, 1), found " + std::to_string(decay));
    }
  }

  /// Throws ShapeError for a model of other sizes.
  void update(const Model& model) {
    ++updates[0];
    blend_tree(average, decay_, 1 - decay_, model);
  }

  [[nodiscard]] double decay() const noexcept { return decay_; }

 private:
  double decay_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
