#pragma once

#include <stepscan/models/language_model_backward.hpp>
#include <stepscan/ops/tokens.hpp>
#include <stepscan/train/losses.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// SequenceGradient for a LanguageModel: the gradient of its loss on ids and the ids that follow them. The logits exist
/// for some tokens at a time. One for every thread: the Scratch of DataParallel.
template <class Model>
class TokenGradient {
  using S = typename Model::scalar_type;
  using State = typename Model::State;

 public:
  /// Runs ids [batch, time, 1] from `state`, which is where they end afterwards, and adds the gradient of the summed
  /// loss against the targets [batch, time] to `gradient`. Nothing flows back into the state. Throws what the model and
  /// the loss throw; `gradient` is then of no use.
  template <class Loss>
  LossSum operator()(const Model& model, State& state, const TokenIds& ids, const ClassTargets& targets,
                     const Loss& loss, Model& gradient) {
    const State dstate_end = zeros_like(model.initial_state(ids.batch));
    State dstate_start = dstate_end;
    LossSum sum;
    model.forward_hidden(state, ids, tape_);
    const auto cotangents = [&](Index start, const auto& logits) {
      S* const room = room_in(logits_, logits.batch * logits.time * logits.features);
      SequenceView<S> y(room, logits.batch, logits.time, Index{logits.features});
      y.lengths = logits.lengths;
      y.start = logits.start;
      copy_tokens<S>(logits, logits, y);
      sum += loss.sum(y, targets.middle_cols(start, y.time), logits);
    };
    model.backward_by(tape_, cotangents, dstate_end, gradient, dstate_start);
    return sum;
  }

  /// The same from the model's initial state.
  template <class Loss>
  LossSum operator()(const Model& model, const TokenIds& ids, const ClassTargets& targets, const Loss& loss,
                     Model& gradient) {
    State state = model.initial_state(ids.batch);
    return (*this)(model, state, ids, targets, loss, gradient);
  }

 private:
  Tape<Model> tape_;
  Tensor<S, Dynamic> logits_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
