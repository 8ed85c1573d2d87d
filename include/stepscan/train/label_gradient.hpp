#pragma once

#include <stepscan/models/classifier_backward.hpp>
#include <stepscan/train/losses.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// SequenceGradient for a Classifier: the gradient of its loss on sequences and one label for each. One for every
/// thread: the Scratch of DataParallel.
template <class Model>
class LabelGradient {
  using S = typename Model::scalar_type;
  using State = typename Model::State;

 public:
  /// Runs x [batch, time, inputs] from `state`, which is where it ends afterwards, and adds the gradient of the summed
  /// loss against the labels [batch, 1] to `gradient`. Nothing flows back into the state. Throws what the model and the
  /// loss throw.
  template <class Loss>
  LossSum operator()(const Model& model, State& state, const SequenceView<const S>& x, const ClassTargets& labels,
                     const Loss& loss, Model& gradient) {
    const SequenceView<S> logits(room_in(logits_, x.batch * model.classes()), x.batch, 1, model.classes());
    const SequenceView<S> dlogits(room_in(dlogits_, x.batch * model.classes()), x.batch, 1, model.classes());
    const SequenceView<S> dx(room_in(dx_, x.batch * x.time * x.features), x.batch, x.time, x.features);
    const State dstate_end = zeros_like(model.initial_state(x.batch));
    State dstate_start = dstate_end;
    model.forward(state, x, logits.frame(0), tape_);
    const LossSum sum = loss.sum(logits, labels, dlogits);
    model.backward(tape_, dlogits.frame(0), dstate_end, gradient, dx, dstate_start);
    return sum;
  }

  /// The same from the model's initial state.
  template <class Loss>
  LossSum operator()(const Model& model, const SequenceView<const S>& x, const ClassTargets& labels, const Loss& loss,
                     Model& gradient) {
    State state = model.initial_state(x.batch);
    return (*this)(model, state, x, labels, loss, gradient);
  }

 private:
  Tape<Model> tape_;
  Tensor<S, Dynamic> logits_, dlogits_, dx_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
