#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/train/losses.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gradient of a loss on a model's outputs, forward and backward in one call, with the memory both need: the tape,
/// outputs and cotangents, kept from call to call. One for every thread: the Scratch of DataParallel.
template <ParameterisedLayer Model>
class SequenceGradient {
  using S = typename Model::scalar_type;
  using Input = SequenceView<const S, Model::static_inputs>;
  using State = typename Model::State;

 public:
  /// Runs x [batch, time, inputs] from `state`, which is where it ends afterwards, and adds the gradient of the summed
  /// loss to `gradient`. Nothing flows back into the state: truncated back-propagation through time, where the next
  /// part of a long sequence goes on from it. Throws what the model and the loss throw.
  template <class Loss, class Targets>
  LossSum operator()(const Model& model, State& state, const Input& x, const Targets& targets, const Loss& loss,
                     Model& gradient) {
    const Index time = model.output_time(x.time);
    auto y = view<Model::static_outputs>(outputs_, x, time, model.output_size());
    auto dy = view<Model::static_outputs>(cotangents_, x, time, model.output_size());
    const auto dx = view<Model::static_inputs>(input_cotangents_, x, x.time, model.input_size());
    const State dstate_end = zeros_like(model.initial_state(x.batch));
    State dstate_start = dstate_end;
    model.forward(state, x, y, tape_);
    if constexpr (Model::keeps_time) y.lengths = x.lengths, y.start = x.start;
    const LossSum sum = loss.sum(y, targets, SequenceView<S>(dy));
    model.backward(tape_, dy, dstate_end, gradient, dx, dstate_start);
    return sum;
  }

  /// The same from the model's initial state.
  template <class Loss, class Targets>
  LossSum operator()(const Model& model, const Input& x, const Targets& targets, const Loss& loss, Model& gradient) {
    State state = model.initial_state(x.batch);
    return (*this)(model, state, x, targets, loss, gradient);
  }

 private:
  template <Index Features>
  static SequenceView<S, Features> view(Tensor<S, Dynamic>& memory, const Input& x, Index time, Index features) {
    return {room_in(memory, x.batch * time * features), x.batch, time, features};
  }

  Tape<Model> tape_;
  Tensor<S, Dynamic> outputs_, cotangents_, input_cotangents_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
