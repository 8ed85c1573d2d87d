#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/train/losses.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gradient of a loss on what a model predicts, forward and backward in one call, with the memory both need, kept
/// from call to call. One for every thread: the Scratch of DataParallel. How a model is run and where its predictions
/// lie is its `Pass`; use it by its names, SequenceGradient and TokenGradient (train/token_gradient.hpp).
template <Tree Model, class Pass>
class LossGradient {
  using State = typename Model::State;

 public:
  using Input = typename Pass::Input;

  /// Runs x from `state`, which is where it ends afterwards, and adds the gradient of the summed loss to `gradient`.
  /// Nothing flows back into the state: truncated back-propagation through time, where the next part of a long sequence
  /// goes on from it. Throws what the model and the loss throw; `gradient` is then of no use.
  template <class Loss, class Targets>
  LossSum operator()(const Model& model, State& state, const Input& x, const Targets& targets, const Loss& loss,
                     Model& gradient) {
    const State dstate_end = zeros_like(state);
    State dstate_start = dstate_end;
    return pass_.run(model, state, x, targets, loss, gradient, dstate_end, dstate_start);
  }

  /// The same from the model's initial state.
  template <class Loss, class Targets>
  LossSum operator()(const Model& model, const Input& x, const Targets& targets, const Loss& loss, Model& gradient) {
    State state = model.initial_state(x.batch);
    return (*this)(model, state, x, targets, loss, gradient);
  }

 private:
  Pass pass_;
};

namespace detail {

/// Of models from sequences [batch, time, inputs] to sequences.
template <class Model>
class SequencePass {
  using S = typename Model::scalar_type;
  using State = typename Model::State;

 public:
  using Input = SequenceView<const S, Model::static_inputs>;

  template <class Loss, class Targets>
  LossSum run(const Model& model, State& state, const Input& x, const Targets& targets, const Loss& loss,
              Model& gradient, const State& dstate_end, State& dstate_start) {
    const Index time = model.output_time(x.time);
    auto y = view<Model::static_outputs>(outputs_, x, time, model.output_size());
    const auto dy = view<Model::static_outputs>(cotangents_, x, time, model.output_size());
    const auto dx = view<Model::static_inputs>(input_cotangents_, x, x.time, model.input_size());
    model.forward(state, x, y, tape_);
    if constexpr (Model::keeps_time) y.lengths = x.lengths, y.start = x.start;
    const LossSum sum = loss.sum(y, targets, SequenceView<S>(dy));
    model.backward(tape_, dy, dstate_end, gradient, dx, dstate_start);
    return sum;
  }

 private:
  template <Index Features>
  static SequenceView<S, Features> view(Tensor<S, Dynamic>& memory, const Input& x, Index time, Index features) {
    return {room_in(memory, x.batch * time * features), x.batch, time, features};
  }

  Tape<Model> tape_;
  Tensor<S, Dynamic> outputs_, cotangents_, input_cotangents_;
};

}  // namespace detail

/// For layers and what is made of them, for a Forecaster, and for a Classifier, whose targets are labels [batch, 1].
template <class Model>
using SequenceGradient = LossGradient<Model, detail::SequencePass<Model>>;

}  // namespace stepscan::inline STEPSCAN_ISA
