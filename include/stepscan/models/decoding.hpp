#pragma once

#include <algorithm>
#include <span>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/layers/state.hpp>

/// Greedy and beam search over what a decoder chooses at each step: a slot of a PointerNetwork, a token of an
/// EncoderDecoder. The decoder is seen as `Rows`, hypotheses that step together:
///   begin(row, member)         the row decodes that batch member and has chosen nothing yet
///   step(state, workspace)     one step of every row; what it takes of the workspace is read until the next
///   for_each_choice(row, f)    f(choice, log-probability) for all that the row may choose, choices rising
///   select(parents)            row k goes on from what row parents[k] was, but for its state
///   advance(row, choice)       whether the row goes on behind a choice; -1: it has none
namespace stepscan::inline STEPSCAN_ISA::detail {

/// What a search found, best first: choices [batch, beams, steps], -1 behind the end of a sequence, and scores [batch,
/// beams], the sums of their log-probabilities.
template <Scalar S>
struct Decoded {
  Tensor<Index, Dynamic, Dynamic, Dynamic>& choices;
  Tensor<S, Dynamic, Dynamic>& scores;

  [[nodiscard]] Index batch() const noexcept { return choices.extent(0); }
  [[nodiscard]] Index beams() const noexcept { return choices.extent(1); }
  [[nodiscard]] Index steps() const noexcept { return choices.extent(2); }
};

[[nodiscard]] inline bool any_of_rows(const bool* live, Index count) noexcept {
  return std::find(live, live + count, true) != live + count;
}

/// Takes the likeliest choice at each step, the first of equals: all members together, each in a row of its own, from
/// `state` [batch, ...].
template <class Rows, class State, Scalar S>
void decode_greedily(Rows& rows, State state, const Decoded<S>& found, Workspace& workspace) {
  bool* const live = workspace.take<bool>(found.batch());
  for (Index b = 0; b < found.batch(); ++b) {
    rows.begin(b, b);
    live[b] = true;
  }
  for (Index i = 0; i < found.steps() && any_of_rows(live, found.batch()); ++i) {
    const Workspace::Scope of_step(workspace);
    rows.step(state, workspace);
    for (Index b = 0; b < found.batch(); ++b) {
      if (!live[b]) continue;
      Index likeliest = -1;
      S log_prob{0};
      rows.for_each_choice(b, [&](Index choice, S value) {
        if (likeliest < 0 || value > log_prob) likeliest = choice, log_prob = value;
      });
      found.choices(b, 0, i) = likeliest;
      found.scores(b, 0) += log_prob;
      live[b] = rows.advance(b, likeliest);
    }
  }
}

/// A hypothesis that may be kept: `parent` and one more choice, or, with choice -1, as it is.
template <Scalar S>
struct BeamCandidate {
  S rank;
  S score;
  Index parent;
  Index choice;
};

/// The candidates of the highest ranks seen so far, best first; of equals the one that came first.
template <Scalar S>
struct BeamRanking {
  BeamCandidate<S>* best;
  Index room;
  Index count = 0;

  void add(const BeamCandidate<S>& candidate) noexcept {
    if (count == room && !(candidate.rank > best[room - 1].rank)) return;
    Index at = count < room ? count++ : room - 1;
    for (; at > 0 && candidate.rank > best[at - 1].rank; --at) best[at] = best[at - 1];
    best[at] = candidate;
  }
};

/// The hypotheses of one member: the decoder's state for each, its choices, its score and whether it goes on.
template <Scalar S, class State>
struct BeamHypotheses {
  State state;
  MatrixView<Index> choices;
  S* scores;
  bool* live;
  Index count = 0;

  BeamHypotheses(State fresh, Index beams, Index steps, Workspace& workspace)
      : state(std::move(fresh)),
        choices(workspace.matrix<Index>(beams, Extent<Dynamic>(steps))),
        scores(workspace.take<S>(beams)),
        live(workspace.take<bool>(beams)) {}

  /// One that has chosen nothing yet.
  void begin() noexcept {
    std::fill_n(choices.data, choices.rows * choices.cols, Index{-1});
    scores[0] = S{0};
    live[0] = true;
    count = 1;
  }
  [[nodiscard]] Index length(Index k) const noexcept {
    return std::find(choices.row(k), choices.row(k) + choices.cols, Index{-1}) - choices.row(k);
  }
};

/// Keeps the best hypotheses of each member, one member after another, from its row of `start`; `fresh` is a state for
/// as many rows as there are beams. Every live hypothesis is continued by all it may choose; one that has ended or has
/// nothing to choose is kept as it is. They are ranked by rank(score, choices made), of equals the better parent comes
/// first, then the lower choice.
template <class Rows, class State, Scalar S, class Rank>
void decode_by_beams(Rows& rows, const State& start, const State& fresh, const Decoded<S>& found, Workspace& workspace,
                     Rank&& rank) {
  const Index beams = found.beams(), steps = found.steps();
  BeamHypotheses<S, State> now(fresh, beams, steps, workspace), next(fresh, beams, steps, workspace);
  const std::span<Index> parents(workspace.take<Index>(beams), static_cast<std::size_t>(beams));
  BeamRanking<S> ranking{workspace.take<BeamCandidate<S>>(beams), beams};
  const auto rank_all = [&](Index step) {
    ranking.count = 0;
    for (Index k = 0; k < now.count; ++k) {
      const S score = now.scores[k];
      bool continued = false;
      const auto continue_by = [&](Index choice, S log_prob) {
        continued = true;
        ranking.add({rank(score + log_prob, step + 1), score + log_prob, k, choice});
      };
      if (now.live[k]) rows.for_each_choice(k, continue_by);
      if (!continued) ranking.add({rank(score, now.length(k)), score, k, -1});
    }
  };
  const auto keep_best = [&](Index step) {
    next.count = ranking.count;
    for (Index k = 0; k < beams; ++k) {
      const BeamCandidate<S> kept = k < next.count ? ranking.best[k] : BeamCandidate<S>{S{0}, S{0}, 0, -1};
      parents[static_cast<std::size_t>(k)] = kept.parent;
      std::copy_n(now.choices.row(kept.parent), steps, next.choices.row(k));
      next.choices(k, step) = kept.choice;
      next.scores[k] = kept.score;
    }
    select_rows(now.state, parents, next.state);
    rows.select(parents);
    for (Index k = 0; k < beams; ++k) next.live[k] = rows.advance(k, next.choices(k, step));
    std::swap(now, next);
  };

  for (Index b = 0; b < found.batch(); ++b) {
    for (Index k = 0; k < beams; ++k) {
      rows.begin(k, b);
      copy_row(start, b, now.state, k);
    }
    now.begin();
    for (Index i = 0; i < steps && any_of_rows(now.live, now.count); ++i) {
      const Workspace::Scope of_step(workspace);
      rows.step(now.state, workspace);
      rank_all(i);
      keep_best(i);
    }
    std::copy_n(now.choices.data, now.count * steps, found.choices.data() + b * beams * steps);
    std::copy_n(now.scores, now.count, &found.scores(b, 0));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
