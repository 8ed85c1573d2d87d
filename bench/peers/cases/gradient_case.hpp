#pragma once

#include <stepscan/train/trees.hpp>

#include "case.hpp"

namespace peers {

/// Forward and backward pass of a layer: x, dy -> y, dx and gradient.PARAMETER.
template <class L>
class GradientCase : public Case {
 public:
  GradientCase(L layer, Index batch, Index time)
      : layer_(std::move(layer)),
        gradient_(zeros_like(layer_)),
        start_(layer_.initial_state(batch)),
        dstart_(start_),
        x_(batch, time, layer_.input_size()),
        dx_(x_.shape()),
        y_(batch, time, layer_.output_size()),
        dy_(y_.shape()) {
    add_tensor("x", x_);
    add_tensor("dx", dx_);
    add_tensor("y", y_);
    add_tensor("dy", dy_);
    add_parameters("", layer_);
    add_parameters("gradient.", gradient_);
  }
  void start() override {}
  void run() override {
    auto state = start_;
    clear_tree(gradient_);
    layer_.forward(state, x_, y_, tape_);
    layer_.backward(tape_, SequenceView<const float>(dy_), start_, gradient_, dx_, dstart_);
  }

 private:
  L layer_, gradient_;
  typename L::State start_, dstart_;
  Sequences x_, dx_, y_, dy_;
  Tape<L> tape_;
};

}  // namespace peers
