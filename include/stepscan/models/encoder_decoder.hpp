#pragma once

#include <algorithm>
#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/embedding.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/pointer_attention.hpp>
#include <stepscan/models/sequential.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// What an EncoderDecoder is made with.
struct EncoderDecoderOptions {
  Index attention_features = 0;  ///< 0: as many as the recurrences have outputs
  Index begin = 0;               ///< the target token that stands before the first
  Index end = 1;                 ///< the target token that ends a sequence
  bool reverse_source = false;   ///< the source is read from its last token to its first (arXiv 1409.3215)
};

/// A source that has been read: the encoder's outputs and final state, and which of them may be looked at.
template <Scalar S, class State>
struct EncodedSource {
  Tensor<S, Dynamic, Dynamic, Dynamic> memory;     ///< the encoder's outputs, [batch, source tokens, hidden]
  Tensor<S, Dynamic, Dynamic, Dynamic> projected;  ///< their projections, [batch, attention_features, source tokens]
  std::vector<std::uint8_t> allowed;               ///< [batch, source tokens]
  State state;
};

/// One run of an EncoderDecoder along its targets: the logits [batch, steps, TargetVocabulary], 0 behind a member's
/// targets. The rest is what the backward pass reads once more; the lesson stays where it is until then.
template <Scalar S, class State>
struct EncoderDecoderLesson {
  using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;
  using Ids = Tensor<Index, Dynamic, Dynamic, Dynamic>;

  Sequence logits;

  EncodedSource<S, State> source;
  Ids source_ids;           ///< in the order they are read
  Ids input_ids;            ///< the decoder's: begin, then the targets but the last
  Sequence source_vectors;  ///< of source_ids
  Sequence input_vectors;
  Sequence readout;    ///< [batch, steps, 2 hidden]: context, then decoder output
  Sequence log_probs;  ///< of the attention, [batch, steps, source tokens]
  Sequence probs;
  std::vector<std::uint8_t> allowed;  ///< [batch, steps, source tokens]
  std::vector<Index> source_lengths;
  std::vector<Index> target_lengths;

  [[nodiscard]] PointerMask mask() const noexcept { return {allowed.data(), probs.extent(1), probs.extent(2)}; }
};

namespace detail {

/// The view, ragged where a member is shorter than it.
template <class View>
[[nodiscard]] View with_lengths(const View& view, const std::vector<Index>& lengths) {
  const bool full = std::all_of(lengths.begin(), lengths.end(), [&](Index n) { return n == view.time; });
  return full ? view : view.ragged(lengths);
}

}  // namespace detail

/// Sequence to sequence with attention (Bahdanau's scores, arXiv 1409.0473, in Luong's place, arXiv 1508.04025, section
/// 3.1: behind the decoder, so that under teacher forcing all steps are scanned at once):
///   e_j = encoder(source tokens),   d_i = decoder(begin, target tokens) from the encoder's final state,
///   c_i = sum_j softmax_j(v . tanh(W1 e_j + W2 d_i)) e_j,   logits_i = V tanh(W [c_i | d_i] + b) + b'
/// Source and target ids [batch, tokens, 1], ragged or not. Recurrence is a causal layer from the embeddings' to any
/// number of features, such as Lstm<float, 64, 128> or a Sequential of two; encoder and decoder are one each.
/// Parameters are named source.weight, target.weight, encoder..., decoder..., attention.w1, .w2, .v, readout.0... and
/// readout.2.... Greedy and beam search: models/translate.hpp. Training: models/encoder_decoder_backward.hpp.
template <Scalar S, Index SourceVocabulary, Index TargetVocabulary, SequenceLayer Recurrence>
class EncoderDecoder {
  static constexpr Index D = Recurrence::static_inputs;
  static_assert(std::same_as<S, typename Recurrence::scalar_type>,
                "stepscan: the layers of an EncoderDecoder have one scalar type");
  static_assert(Recurrence::causal && Recurrence::keeps_time,
                "stepscan: the recurrences of an EncoderDecoder are causal and give one output for every token");

 public:
  using scalar_type = S;
  using State = typename Recurrence::State;
  using Lesson = EncoderDecoderLesson<S, State>;
  using Readout = Sequential<Linear<S, Dynamic, Dynamic>, Tanh<S, Dynamic>, Linear<S, Dynamic, TargetVocabulary>>;
  static constexpr const char* name = "EncoderDecoder";

  Embedding<S, SourceVocabulary, D> source;
  Embedding<S, TargetVocabulary, D> target;
  Recurrence encoder;
  Recurrence decoder;
  PointerAttention<S> attention;
  Readout readout;

  static constexpr auto fields() requires(Tree<Recurrence>) {
    return std::tuple{Field{"source", &EncoderDecoder::source},       Field{"target", &EncoderDecoder::target},
                      Field{"encoder", &EncoderDecoder::encoder},     Field{"decoder", &EncoderDecoder::decoder},
                      Field{"attention", &EncoderDecoder::attention}, Field{"readout", &EncoderDecoder::readout}};
  }

  EncoderDecoder() = default;
  /// Encoder and decoder copies of `recurrence`, the other parameters zero until initialised or loaded. Throws
  /// ArgumentError when `begin` or `end` is no target token.
  EncoderDecoder(Index source_vocabulary, Index target_vocabulary, const Recurrence& recurrence,
                 const EncoderDecoderOptions& options = {})
      : source(source_vocabulary, recurrence.input_size()),
        target(target_vocabulary, recurrence.input_size()),
        encoder(recurrence),
        decoder(recurrence),
        attention(hidden(), hidden(), options.attention_features > 0 ? options.attention_features : hidden()),
        readout(Linear<S, Dynamic, Dynamic>(2 * hidden(), hidden()), Tanh<S, Dynamic>(hidden()),
                Linear<S, Dynamic, TargetVocabulary>(hidden(), target_vocabulary)),
        options_(options) {
    for (const Index id : {options.begin, options.end}) {
      if (id < 0 || id >= target_vocabulary) {
        fail<ArgumentError>("EncoderDecoder: expected begin and end in [0, " + std::to_string(target_vocabulary) +
                            "), found " + std::to_string(id));
      }
    }
  }

  /// Each part as it does by itself, the embeddings normal of standard deviation 0.1.
  void initialize(Random& random) {
    source.initialize(random, 0.1);
    target.initialize(random, 0.1);
    encoder.initialize(random);
    decoder.initialize(random);
    attention.initialize(random);
    readout.initialize(random);
  }

  [[nodiscard]] const EncoderDecoderOptions& options() const noexcept { return options_; }
  [[nodiscard]] Index hidden() const noexcept { return encoder.output_size(); }

  /// Reads the source. Throws ArgumentError when an id lies outside the vocabulary.
  template <class Form = OwnForm>
  [[nodiscard]] EncodedSource<S, State> encode(TokenIds ids, Workspace& workspace, const Form& form = {}) const {
    Lesson lesson;
    encode_by(ids, lesson,
              [&](const auto& layer, auto& state, auto x, auto y) { layer.scan(state, x, y, workspace, form); });
    return std::move(lesson.source);
  }

  /// Follows the targets (teacher forcing). Throws ArgumentError when an id lies outside its vocabulary and ShapeError
  /// when the batches differ.
  template <class Form = OwnForm>
  void teach(TokenIds source_ids, TokenIds targets, Lesson& lesson, Workspace& workspace, const Form& form = {}) const {
    teach_by(source_ids, targets, lesson, workspace,
             [&](const auto& layer, auto& state, auto x, auto y) { layer.scan(state, x, y, workspace, form); });
  }

  /// The same with run(layer, state, inputs, outputs) for the encoder, the decoder and the readout.
  template <class Run>
  void teach_by(const TokenIds& source_ids, const TokenIds& targets, Lesson& lesson, Workspace& workspace,
                Run&& run) const {
    target.check(targets);
    if (source_ids.batch != targets.batch) {
      fail<ShapeError>("EncoderDecoder: expected targets for a batch of " + std::to_string(source_ids.batch) +
                       ", found " + std::to_string(targets.batch));
    }
    encode_by(source_ids, lesson, run);
    const Index batch = targets.batch, steps = targets.time, memory_size = source_ids.time;
    follow(targets, lesson);
    lesson.readout = typename Lesson::Sequence(batch, steps, 2 * hidden());
    lesson.log_probs = lesson.probs = typename Lesson::Sequence(batch, steps, memory_size);
    lesson.logits = typename Lesson::Sequence(batch, steps, target.vocabulary());
    const SequenceView<S> joined = detail::with_lengths(SequenceView<S>(lesson.readout), lesson.target_lengths);
    const SequenceView<S> outputs = joined.middle_features(hidden(), Extent<Dynamic>(hidden()));
    State state = lesson.source.state;
    run(decoder, state, SequenceView<const S, D>(input_vectors(lesson)), outputs);
    const Workspace::Scope scope(workspace);
    pointer_attention<S>(
        attention.scores(), {std::as_const(lesson.source.projected), std::as_const(lesson.source.memory)},
        attention.project(outputs, workspace), lesson.mask(),
        {lesson.log_probs, lesson.probs, joined.middle_features(0, Extent<Dynamic>(hidden())), nullptr}, workspace);
    auto readout_state = readout.initial_state(batch);
    run(readout, readout_state, SequenceView<const S>(joined), SequenceView<S, TargetVocabulary>(lesson.logits));
  }

  /// `teach` that keeps in the tape what `backward` needs.
  template <class Form = OwnForm, class TapeType>
  void forward(TokenIds source_ids, TokenIds targets, Lesson& lesson, TapeType& tape, const Form& form = {}) const {
    Training<EncoderDecoder>::forward(*this, source_ids, targets, lesson, tape, form);
  }

  /// From the cotangent of the logits, whose padding is not read: adds the gradient of the parameters to `gradient`.
  /// Throws ShapeError when its shape is not that of the logits.
  template <class TapeType>
  void backward(TapeType& tape, const Lesson& lesson, SequenceView<const S, TargetVocabulary> dlogits,
                EncoderDecoder& gradient) const {
    Training<EncoderDecoder>::backward(*this, tape, lesson, dlogits, gradient);
  }

  /// What the decoder read in a lesson.
  [[nodiscard]] SequenceView<const S, D> input_vectors(const Lesson& lesson) const {
    return detail::with_lengths(SequenceView<const S, D>(lesson.input_vectors), lesson.target_lengths);
  }

 private:
  template <class Run>
  void encode_by(const TokenIds& ids, Lesson& lesson, Run&& run) const {
    source.check(ids);
    lesson.source_lengths = lengths_of(ids);
    lesson.source_ids = typename Lesson::Ids(ids.batch, ids.time, 1);
    for (Index b = 0; b < ids.batch; ++b) {
      const Index length = ids.length(b);
      for (Index t = 0; t < length; ++t) {
        lesson.source_ids(b, options_.reverse_source ? length - 1 - t : t, 0) = *ids.token(b, t);
      }
    }
    lesson.source_vectors = typename Lesson::Sequence(ids.batch, ids.time, source.output_size());
    const SequenceView<S, D> vectors =
        detail::with_lengths(SequenceView<S, D>(lesson.source_vectors), lesson.source_lengths);
    source.embed(detail::with_lengths(TokenIds(lesson.source_ids), lesson.source_lengths), vectors);
    lesson.source.state = encoder.initial_state(ids.batch);
    lesson.source.memory = typename Lesson::Sequence(ids.batch, ids.time, hidden());
    run(encoder, lesson.source.state, SequenceView<const S, D>(vectors),
        SequenceView<S, Recurrence::static_outputs>(lesson.source.memory));
    lesson.source.projected = attention.remember(std::as_const(lesson.source.memory));
    lesson.source.allowed.assign(static_cast<std::size_t>(ids.batch * ids.time), 0);
    for (Index b = 0; b < ids.batch; ++b) {
      std::fill_n(lesson.source.allowed.begin() + b * ids.time, ids.length(b), std::uint8_t{1});
    }
  }

  /// What the targets alone decide: the decoder's inputs and what each step may look at.
  void follow(const TokenIds& targets, Lesson& lesson) const {
    const Index batch = targets.batch, steps = targets.time, tokens = lesson.source_ids.extent(1);
    lesson.target_lengths = lengths_of(targets);
    lesson.input_ids = typename Lesson::Ids(batch, steps, 1);
    lesson.input_vectors = typename Lesson::Sequence(batch, steps, target.output_size());
    lesson.allowed.clear();
    for (Index b = 0; b < batch; ++b) {
      for (Index i = 0; i < targets.length(b); ++i) {
        lesson.input_ids(b, i, 0) = i == 0 ? options_.begin : *targets.token(b, i - 1);
      }
      const auto own = lesson.source.allowed.begin() + b * tokens;
      for (Index i = 0; i < steps; ++i) lesson.allowed.insert(lesson.allowed.end(), own, own + tokens);
    }
    target.embed(detail::with_lengths(TokenIds(lesson.input_ids), lesson.target_lengths),
                 SequenceView<S, D>(lesson.input_vectors));
  }

  static std::vector<Index> lengths_of(const TokenIds& ids) {
    std::vector<Index> lengths;
    for (Index b = 0; b < ids.batch; ++b) lengths.push_back(ids.length(b));
    return lengths;
  }

  EncoderDecoderOptions options_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
