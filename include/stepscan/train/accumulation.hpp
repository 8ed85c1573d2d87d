#pragma once

#include <stepscan/train/losses.hpp>
#include <stepscan/train/trees.hpp>
#include <utility>

namespace stepscan::inline STEPSCAN_ISA {

/// One gradient from several parts of a batch, weighted by how much counts in each:
///
///   accumulator.clear();
///   for (each part) {
///     model.forward(state, x, y, tape);
///     const LossSum part = loss.sum(y, targets, dy);                            // not divided by anything
///     model.backward(tape, dy, dstate_end, accumulator.gradient, dx, dstate_start);
///     accumulator.add(part);
///   }
///   const double mean = accumulator.finish();                                   // now d(mean over all parts)
template <Tree Model>
class GradientAccumulator {
 public:
  Model gradient;

  explicit GradientAccumulator(const Model& model) : gradient(zeros_like(model)) {}

  void add(const LossSum& part) noexcept { total_ += part; }
  [[nodiscard]] const LossSum& total() const noexcept { return total_; }

  /// Divides the gradient by what counted in all parts; returns the mean loss. To be called once.
  double finish() {
    if (total_.count > 0) scale_tree(gradient, 1.0 / static_cast<double>(total_.count));
    return total_.mean();
  }

  void clear() {
    clear_tree(gradient);
    total_ = {};
  }

 private:
  LossSum total_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
