#pragma once

#include <stepscan/models/language_model_backward.hpp>
#include <stepscan/ops/tokens.hpp>
#include <stepscan/train/sequence_gradient.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Of models from ids [batch, time, 1] to logits, which exist for some tokens at a time.
template <class Model>
class TokenPass {
  using S = typename Model::scalar_type;
  using State = typename Model::State;

 public:
  using Input = TokenIds;

  template <class Loss>
  LossSum run(const Model& model, State& state, const TokenIds& ids, const ClassTargets& targets, const Loss& loss,
              Model& gradient, const State& dstate_end, State& dstate_start) {
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

 private:
  Tape<Model> tape_;
  Tensor<S, Dynamic> logits_;
};

}  // namespace detail

/// For a LanguageModel, on ids and the targets [batch, time] that follow them.
template <class Model>
using TokenGradient = LossGradient<Model, detail::TokenPass<Model>>;

}  // namespace stepscan::inline STEPSCAN_ISA
