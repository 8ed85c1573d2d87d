#pragma once

#include <cmath>
#include <span>
#include <stepscan/layers/state.hpp>
#include <stepscan/models/beam_ranking.hpp>
#include <stepscan/models/encoder_decoder.hpp>
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

/// The rows of a decoder that step together, each looking at one member of the source.
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
        memory_{source.projected, source.memory},
        vectors_(workspace.matrix<S>(rows, Extent<Dynamic>(model.target.output_size()))),
        joined_(workspace.take<S>(rows * 2 * model.hidden()), rows, 1, 2 * model.hidden()),
        logits_(workspace.matrix<S>(rows, Extent<Dynamic>(model.target.vocabulary()))),
        scores_(workspace.take<S>(memory_.items.time)),
        log_probs_(workspace.take<S>(memory_.items.time), 1, 1, memory_.items.time),
        probs_(workspace.take<S>(memory_.items.time), 1, 1, memory_.items.time) {}

  /// One more token of every row; row r looks at member_of(r). Returns the log-probabilities of what follows.
  template <class MemberOf>
  MatrixView<S> step(State& state, TokenColumn ids, Workspace& workspace, MemberOf&& member_of) {
    const Workspace::Scope scope(workspace);
    const Index hidden = model_.hidden();
    const SequenceView<S> contexts = joined_.middle_features(0, Extent<Dynamic>(hidden)),
                          outputs = joined_.middle_features(hidden, Extent<Dynamic>(hidden));
    model_.target.embed(ids, vectors_);
    decoder_.step(state, vectors_, outputs.frame(0));
    const SequenceView<S> queries = model_.attention.project(outputs, workspace);
    for (Index r = 0; r < ids.rows; ++r) {
      const Index b = member_of(r), tokens = memory_.items.time;
      const PointerMemory<S> own{memory_.projected.members(b, 1), memory_.items.members(b, 1)};
      model_.attention.scores().scores(own.projected, 0, queries.token(r, 0), scores_);
      point_one<S>(own, {source_.allowed.data() + b * tokens, 1, tokens}, 0, 0, scores_,
                   {log_probs_, probs_, contexts.members(r, 1), nullptr});
    }
    readout_.step(readout_state_, joined_.frame(0), logits_);
    for (Index r = 0; r < ids.rows; ++r) log_softmax_row<S>(logits_.row(r), logits_.cols);
    return logits_;
  }

 private:
  using Decoder = decltype(std::declval<const Model&>().decoder.plan());
  using Readout = decltype(std::declval<const Model&>().readout.plan());

  const Model& model_;
  Decoder decoder_;
  Readout readout_;
  typename Readout::State readout_state_;
  const EncodedSource<S, State>& source_;
  PointerMemory<S> memory_;
  MatrixView<S> vectors_;
  SequenceView<S> joined_;
  MatrixView<S> logits_;
  S* scores_;
  SequenceView<S> log_probs_;
  SequenceView<S> probs_;
};

/// The likeliest token at each step, the first of equals, all members together.
template <class Model, Scalar S>
void translate_greedily(const Model& model, const EncodedSource<S, typename Model::State>& source,
                        Translations<S>& found, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index batch = found.ids.extent(0), steps = found.ids.extent(2);
  TranslationRows<Model> rows(model, source, batch, workspace);
  auto state = source.state;
  const MatrixView<Index, Dynamic, 1> ids(workspace.take<Index>(batch), batch, 1);
  std::fill_n(ids.data, batch, model.options().begin);
  bool* const live = workspace.take<bool>(batch);
  std::fill_n(live, batch, true);
  for (Index i = 0; i < steps && std::find(live, live + batch, true) != live + batch; ++i) {
    const MatrixView<S> log_probs = rows.step(state, ids, workspace, [](Index r) { return r; });
    for (Index b = 0; b < batch; ++b) {
      if (!live[b]) continue;
      const S* const row = log_probs.row(b);
      ids(b, 0) = std::max_element(row, row + log_probs.cols) - row;
      found.ids(b, 0, i) = ids(b, 0);
      found.scores(b, 0) += row[ids(b, 0)];
      live[b] = ids(b, 0) != model.options().end;
    }
  }
}

/// The hypotheses of one member: the decoder's state for each, its tokens, how many, their score, whether it goes on.
template <Scalar S, class State>
struct TranslationHypotheses {
  State state;
  MatrixView<Index> ids;
  Index* tokens;
  S* scores;
  bool* live;
  Index count = 0;

  TranslationHypotheses(State fresh, Index beams, Index steps, Workspace& workspace)
      : state(std::move(fresh)),
        ids(workspace.matrix<Index>(beams, Extent<Dynamic>(steps))),
        tokens(workspace.take<Index>(beams)),
        scores(workspace.take<S>(beams)),
        live(workspace.take<bool>(beams)) {}
};

template <class Model, Scalar S>
void translate_by_beams(const Model& model, const EncodedSource<S, typename Model::State>& source,
                        const TranslationOptions& options, Translations<S>& found, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index beams = options.beams, steps = options.steps;
  using Hypotheses = TranslationHypotheses<S, typename Model::State>;
  Hypotheses now(model.decoder.initial_state(beams), beams, steps, workspace);
  Hypotheses next(model.decoder.initial_state(beams), beams, steps, workspace);
  TranslationRows<Model> rows(model, source, beams, workspace);
  const MatrixView<Index, Dynamic, 1> ids(workspace.take<Index>(beams), beams, 1);
  Index* const parents = workspace.take<Index>(beams);
  BeamRanking<S> ranking{workspace.take<BeamCandidate<S>>(beams), beams};
  const auto ranked = [&](S score, Index tokens) {
    return options.length_power == 0
               ? score
               : score /
                     static_cast<S>(std::pow(static_cast<double>(std::max<Index>(tokens, 1)), options.length_power));
  };

  for (Index b = 0; b < found.ids.extent(0); ++b) {
    for (Index k = 0; k < beams; ++k) copy_row(source.state, b, now.state, k);
    std::fill_n(now.ids.data, beams * steps, Index{-1});
    std::fill_n(ids.data, beams, model.options().begin);
    now.tokens[0] = 0;
    now.scores[0] = S{0};
    now.live[0] = true;
    now.count = 1;
    for (Index i = 0; i < steps && std::find(now.live, now.live + now.count, true) != now.live + now.count; ++i) {
      const MatrixView<S> log_probs = rows.step(now.state, ids, workspace, [b](Index) { return b; });
      ranking.count = 0;
      for (Index k = 0; k < now.count; ++k) {
        if (!now.live[k]) {
          ranking.add({ranked(now.scores[k], now.tokens[k]), k, -1});
          continue;
        }
        for (Index id = 0; id < log_probs.cols; ++id) {
          ranking.add({ranked(now.scores[k] + log_probs(k, id), i + 1), k, id});
        }
      }
      next.count = ranking.count;
      for (Index k = 0; k < beams; ++k) {
        const auto [rank, parent, id] = k < next.count ? ranking.best[k] : BeamCandidate<S>{S{0}, 0, -1};
        parents[k] = parent;
        std::copy_n(now.ids.row(parent), steps, next.ids.row(k));
        next.ids(k, i) = id;
        next.tokens[k] = id < 0 ? now.tokens[parent] : i + 1;
        next.scores[k] = id < 0 ? now.scores[parent] : now.scores[parent] + log_probs(parent, id);
        next.live[k] = id >= 0 && id != model.options().end;
        ids(k, 0) = next.live[k] ? id : model.options().begin;
      }
      select_rows(now.state, std::span<const Index>(parents, static_cast<std::size_t>(beams)), next.state);
      std::swap(now, next);
    }
    std::copy_n(now.ids.data, now.count * steps, &found.ids(b, 0, 0));
    std::copy_n(now.scores, now.count, &found.scores(b, 0));
  }
}

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
  if (options.beams == 1) {
    detail::translate_greedily(model, encoded, found, workspace);
  } else {
    detail::translate_by_beams(model, encoded, options, found, workspace);
  }
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
