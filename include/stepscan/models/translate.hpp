#pragma once

#include <cmath>
#include <stepscan/models/decoding.hpp>
#include <stepscan/models/encoder_decoder.hpp>
#include <stepscan/models/member_attention.hpp>
#include <stepscan/ops/softmax_row.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How an EncoderDecoder writes.
struct TranslationOptions {
  Index steps = 0;          ///< target tokens at most, the end among them
  Index beams = 1;          ///< sequences kept; 1: the likeliest token at each step
  double length_power = 0;  ///< sequences are ranked by score / tokens^length_power (arXiv 1609.08144, section 7)
};

/// What it wrote, best first: ids [batch, beams, steps], -1 behind the end token, and scores [batch, beams], their sums
/// of log-probabilities. A beam that is not used has ids of -1 and a score of 0.
template <Scalar S>
struct Translations {
  Tensor<Index, Dynamic, Dynamic, Dynamic> ids;
  Tensor<S, Dynamic, Dynamic> scores;

  Translations(Index batch, Index beams, Index steps) : ids(batch, beams, steps), scores(batch, beams) { ids.fill(-1); }
};

namespace detail {

/// Rows of an EncoderDecoder's decoder (models/decoding.hpp): the source each looks at and its last token.
template <class Model>
class TranslationRows {
  using S = typename Model::scalar_type;
  using State = typename Model::State;

 public:
  TranslationRows(const Model& model, const EncodedSource<S, State>& source, Index rows, Workspace& workspace)
      : model_(model),
        decoder_(model.decoder.plan()),
        readout_(model.readout.plan()),
        readout_state_(readout_.initial_state(rows)),
        source_(source),
        attention_(model.attention, {source.projected, source.memory}, workspace),
        members_(workspace.take<Index>(rows)),
        ids_(workspace.take<Index>(rows), rows, 1),
        vectors_(workspace.matrix<S>(rows, Extent<Dynamic>(model.target.output_size()))),
        joined_(workspace.take<S>(rows * 2 * model.hidden()), rows, 1, 2 * model.hidden()),
        logits_(workspace.matrix<S>(rows, Extent<Dynamic>(model.target.vocabulary()))) {}

  void begin(Index row, Index member) const noexcept {
    members_[row] = member;
    ids_(row, 0) = model_.options().begin;
  }
  void step(State& state, Workspace& workspace) {
    const Index hidden = model_.hidden();
    const SequenceView<S> contexts = joined_.middle_features(0, Extent<Dynamic>(hidden)),
                          outputs = joined_.middle_features(hidden, Extent<Dynamic>(hidden));
    model_.target.embed(ids_, vectors_);
    decoder_.step(state, vectors_, outputs.frame(0));
    const SequenceView<S> queries = model_.attention.project(outputs, workspace);
    for (Index r = 0; r < queries.batch; ++r) {
      const std::uint8_t* const allowed = source_.allowed.data() + members_[r] * attention_.items();
      attention_.look(queries.token(r, 0), members_[r], allowed, contexts.members(r, 1));
    }
    readout_.step(readout_state_, joined_.frame(0), logits_);
    for (Index r = 0; r < queries.batch; ++r) log_softmax_row<S>(logits_.row(r), logits_.cols);
  }
  template <class Function>
  void for_each_choice(Index row, Function&& f) const {
    for (Index id = 0; id < logits_.cols; ++id) f(id, logits_(row, id));
  }
  void select(std::span<const Index>) const noexcept {}
  [[nodiscard]] bool advance(Index row, Index id) const noexcept {
    const bool goes_on = id >= 0 && id != model_.options().end;
    ids_(row, 0) = goes_on ? id : model_.options().begin;
    return goes_on;
  }

 private:
  using Decoder = decltype(std::declval<const Model&>().decoder.plan());
  using Readout = decltype(std::declval<const Model&>().readout.plan());

  const Model& model_;
  Decoder decoder_;
  Readout readout_;
  typename Readout::State readout_state_;
  const EncodedSource<S, State>& source_;
  MemberAttention<S> attention_;
  Index* members_;
  MatrixView<Index, Dynamic, 1> ids_;
  MatrixView<S> vectors_;
  SequenceView<S> joined_;
  MatrixView<S> logits_;  ///< then their log-probabilities
};

}  // namespace detail

/// Writes the target of every source. With several beams every unended sequence is continued by every token and the
/// best are kept, ended ones as they are; of equals the better parent comes first, then the lower id. Throws
/// ArgumentError when there is no beam or a source id lies outside the vocabulary. No step allocates once the workspace
/// is warm.
template <class Model>
[[nodiscard]] auto translate(const Model& model, TokenIds source, const TranslationOptions& options,
                             Workspace& workspace) {
  using S = typename Model::scalar_type;
  if (options.beams < 1) {
    fail<ArgumentError>("translate: expected at least one beam, found " + std::to_string(options.beams));
  }
  Translations<S> found(source.batch, options.beams, options.steps);
  const auto encoded = model.encode(source, workspace);
  const Workspace::Scope scope(workspace);
  const detail::Decoded<S> sequences{found.ids, found.scores};
  if (options.beams == 1) {
    detail::TranslationRows<Model> rows(model, encoded, source.batch, workspace);
    detail::decode_greedily(rows, encoded.state, sequences, workspace);
    return found;
  }
  detail::TranslationRows<Model> rows(model, encoded, options.beams, workspace);
  const auto by_length = [power = options.length_power](S score, Index tokens) {
    if (power == 0) return score;
    return score / static_cast<S>(std::pow(static_cast<double>(std::max<Index>(tokens, 1)), power));
  };
  detail::decode_by_beams(rows, encoded.state, model.decoder.initial_state(options.beams), sequences, workspace,
                          by_length);
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
