#pragma once

#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/models/language_model.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of the ids, what lies before and behind the blocks, and the blocks' tape. The logits are worked out
/// from it, some tokens at a time. To be included beside the blocks' own backward headers.
template <Scalar S, Index Vocabulary, Index D, class Blocks, class Head, class FinalNorm>
struct Training<LanguageModel<S, Vocabulary, D, Blocks, Head, FinalNorm>> {
  using L = LanguageModel<S, Vocabulary, D, Blocks, Head, FinalNorm>;
  using State = typename L::State;
  using Hidden = SequenceView<S, D>;

  struct Tape {
    TokenIds ids;
    Tensor<S, Dynamic> embedded;
    Tensor<S, Dynamic> inner;    ///< the blocks' outputs
    Tensor<S, Dynamic> hidden;   ///< h
    Tensor<S, Dynamic> dinner;   ///< cotangent of the blocks' outputs
    Tensor<S, Dynamic> dhidden;  ///< of h, then of the embeddings
    typename Training<Blocks>::Tape blocks;
    typename Training<FinalNorm>::Tape norm;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& model, const Form& form, State& state, const TokenIds& ids, Tape& tape) {
    static_assert(has_form<Blocks, Form>, "stepscan: the blocks of this LanguageModel do not have the form asked for");
    model.check(state, ids);
    tape.ids = ids;
    const Hidden embedded = sequence(model, tape, tape.embedded), inner = sequence(model, tape, tape.inner);
    NoState none;
    model.embedding.embed(ids, embedded);
    model.blocks.forward(state.blocks, embedded, inner, tape.blocks, form);
    model.norm.forward(none, inner, sequence(model, tape, tape.hidden), tape.norm);
  }

  /// The logits of a forward pass.
  static void logits(const L& model, Tape& tape, const SequenceView<S, Vocabulary>& logits) {
    const Hidden hidden = sequence(model, tape, tape.hidden);
    model.check_logits(logits.batch, logits.time, logits.features, hidden.batch, hidden.time);
    model.template project<OwnForm>(hidden, logits, tape.workspace);
  }

  static void backward(const L& model, Tape& tape, const SequenceView<const S, Vocabulary>& dlogits,
                       const State& dstate_end, L& gradient, State& dstate_start) {
    const Hidden hidden = sequence(model, tape, tape.hidden);
    model.check_logits(dlogits.batch, dlogits.time, dlogits.features, hidden.batch, hidden.time);
    detail::linear_backward<S>(model.head_weight(), hidden, dlogits, gradient.head_weight(), nullptr,
                               sequence(model, tape, tape.dhidden));
    through_blocks(model, tape, dstate_end, gradient, dstate_start);
  }

  template <class Cotangents>
  static void backward_by(const L& model, Tape& tape, Cotangents&& cotangents, const State& dstate_end, L& gradient,
                          State& dstate_start) {
    constexpr Index tokens = 64;
    const Hidden hidden = sequence(model, tape, tape.hidden), dhidden = sequence(model, tape, tape.dhidden);
    for (Index start = 0; start < hidden.time; start += tokens) {
      const Hidden part = hidden.slice(start, std::min(tokens, hidden.time - start));
      const Workspace::Scope scope(tape.workspace);
      const auto logits = tape.workspace.template sequence<S, Vocabulary>(part, model.vocabulary());
      model.template project<OwnForm>(part, logits, tape.workspace);
      cotangents(start, logits);
      detail::linear_backward<S>(model.head_weight(), part, logits, gradient.head_weight(), nullptr,
                                 dhidden.slice(start, part.time));
    }
    through_blocks(model, tape, dstate_end, gradient, dstate_start);
  }

 private:
  static Hidden sequence(const L& model, const Tape& tape, Tensor<S, Dynamic>& memory) {
    S* const room = room_in(memory, tape.ids.batch * tape.ids.time * model.features());
    return detail::BetweenLayers(tape.ids).template view<D, S>(room, model.features());
  }

  static void through_blocks(const L& model, Tape& tape, const State& dstate_end, L& gradient, State& dstate_start) {
    const Hidden dhidden = sequence(model, tape, tape.dhidden), dinner = sequence(model, tape, tape.dinner);
    NoState none;
    model.norm.backward(tape.norm, dhidden, none, gradient.norm, dinner, none);
    model.blocks.backward(tape.blocks, dinner, dstate_end.blocks, gradient.blocks, dhidden, dstate_start.blocks);
    embedding_backward<S, Vocabulary, D>(tape.ids, dhidden, gradient.embedding);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
