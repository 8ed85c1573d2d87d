#pragma once

#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/pointer_attention_backward.hpp>
#include <stepscan/models/encoder_decoder.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the tapes of encoder, decoder and readout; the lesson holds the rest. To be included beside the recurrence's
/// own backward headers.
template <Scalar S, Index SourceVocabulary, Index TargetVocabulary, class Recurrence>
struct Training<EncoderDecoder<S, SourceVocabulary, TargetVocabulary, Recurrence>> {
  using L = EncoderDecoder<S, SourceVocabulary, TargetVocabulary, Recurrence>;
  using State = typename L::State;
  using Lesson = typename L::Lesson;
  static constexpr Index D = Recurrence::static_inputs;

  struct Tape {
    stepscan::Tape<Recurrence> encoder;
    stepscan::Tape<Recurrence> decoder;
    stepscan::Tape<typename L::Readout> readout;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& model, const TokenIds& source, const TokenIds& targets, Lesson& lesson, Tape& tape,
                      const Form& form) {
    model.teach_by(source, targets, lesson, tape.workspace,
                   [&]<class Layer>(const Layer& layer, auto& state, auto x, auto y) {
                     if constexpr (std::same_as<Layer, typename L::Readout>) {
                       layer.forward(state, x, y, tape.readout);
                     } else {
                       layer.forward(state, x, y, &layer == &model.encoder ? tape.encoder : tape.decoder, form);
                     }
                   });
  }

  static void backward(const L& model, Tape& tape, const Lesson& lesson,
                       const SequenceView<const S, TargetVocabulary>& dlogits, L& gradient) {
    const Index batch = lesson.logits.extent(0), steps = lesson.logits.extent(1), hidden = model.hidden();
    if (dlogits.batch != batch || dlogits.time != steps || dlogits.features != lesson.logits.extent(2)) {
      fail<ShapeError>("EncoderDecoder: expected the cotangent of logits of shape " +
                       shape_text(lesson.logits.shape()) + ", found " +
                       shape_text({dlogits.batch, dlogits.time, Index{dlogits.features}}));
    }
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    const SequenceView<const S> joined =
        detail::with_lengths(SequenceView<const S>(lesson.readout), lesson.target_lengths);
    const SequenceView<S> djoined = workspace.template sequence<S>(joined, joined.features);
    auto readout_state = model.readout.initial_state(batch);
    model.readout.backward(tape.readout, dlogits, readout_state, gradient.readout, djoined, readout_state);

    const auto part = [&](const auto& sequence, Index first) {
      return sequence.middle_features(first, Extent<Dynamic>(hidden));
    };
    const SequenceView<const S> memory = lesson.source.memory, outputs = part(joined, hidden);
    const SequenceView<S> dmemory = workspace.template sequence<S>(memory, memory.features),
                          dqueries = workspace.template sequence<S>(outputs, outputs.features),
                          doutputs = part(djoined, hidden);
    pointer_backward<S>(
        model.attention, lesson.source.projected, memory, outputs, lesson.mask(),
        {lesson.log_probs, lesson.probs, part(joined, 0), {}, {}, part(djoined, 0), {}, {}, {}, nullptr},
        gradient.attention, dmemory, dqueries, workspace);
    add_tokens<S>(dqueries, doutputs);

    const SequenceView<const S, D> inputs = model.input_vectors(lesson);
    const SequenceView<S, D> dinputs = workspace.template sequence<S>(inputs, inputs.features);
    State nothing = zeros_like(model.decoder.initial_state(batch)), dstate = nothing, dstart = nothing;
    model.decoder.backward(tape.decoder, doutputs, nothing, gradient.decoder, dinputs, dstate);
    embedding_backward<S, TargetVocabulary, D>(detail::with_lengths(TokenIds(lesson.input_ids), lesson.target_lengths),
                                               dinputs, gradient.target);
    const SequenceView<const S, D> vectors = lesson.source_vectors;
    const SequenceView<S, D> dvectors = workspace.template sequence<S>(vectors, vectors.features);
    model.encoder.backward(tape.encoder, dmemory, dstate, gradient.encoder, dvectors, dstart);
    embedding_backward<S, SourceVocabulary, D>(detail::with_lengths(TokenIds(lesson.source_ids), lesson.source_lengths),
                                               dvectors, gradient.source);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
