#pragma once

#include <stepscan/models/beam_ranking.hpp>
#include <stepscan/models/pointer_decoding.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The hypotheses of one batch member: the decoder's state, [beams, hidden], and for each its slots, score and whether
/// it goes on.
template <Scalar S>
struct PointerHypotheses {
  typename PointerNetwork<S>::State state;
  Index* slots;
  S* scores;
  bool* live;
  Index steps;
  Index count = 0;

  PointerHypotheses(const PointerNetwork<S>& network, Index beams, Index step_count, Workspace& workspace)
      : state(network.decoder.initial_state(beams)),
        slots(workspace.take<Index>(beams * step_count)),
        scores(workspace.take<S>(beams)),
        live(workspace.take<bool>(beams)),
        steps(step_count) {}

  /// Hypothesis k becomes a copy of one of others.
  void copy(Index k, const PointerHypotheses& others, Index parent) noexcept {
    copy_state(k, others.state, parent);
    std::copy_n(others.slots + parent * steps, steps, slots + k * steps);
  }
  void copy_state(Index k, const typename PointerNetwork<S>::State& from, Index row) noexcept {
    for_each_tensor(
        [&](const Path&, auto& to, const auto& values) {
          const Index hidden = to.extent(1);
          std::copy_n(values.data() + row * hidden, hidden, to.data() + k * hidden);
        },
        state, from);
  }
};

}  // namespace detail

/// Keeps the `beams` best sequences at each of at most `steps` steps. Every live hypothesis is continued by every slot
/// it may point at; one that has pointed at the terminal slot or may point at nothing is kept as it is. Of equal scores
/// the better parent comes first, then the lower slot. Throws ArgumentError unless there is at least one beam.
template <Scalar S>
[[nodiscard]] PointerSequences<S> beam_search(const PointerNetwork<S>& network,
                                              const typename PointerNetwork<S>::State& start, SequenceView<const S> x,
                                              Index beams, Index steps, Workspace& workspace) {
  if (beams < 1) fail<ArgumentError>("beam_search: expected at least one beam, found " + std::to_string(beams));
  PointerSequences<S> found(x.batch, beams, steps);
  auto encoded = start;
  const EncodedItems<S> items = network.encode(encoded, x, workspace);
  const auto decoder = network.decoder.plan();
  const Workspace::Scope scope(workspace);
  detail::PointerHypotheses<S> now(network, beams, steps, workspace), next(network, beams, steps, workspace);
  const detail::PointerRows<S> rows(network, x, items, beams, workspace);
  std::uint8_t* const parents_allowed = workspace.take<std::uint8_t>(beams * rows.slots());
  detail::BeamRanking<S> ranking{workspace.take<detail::BeamCandidate<S>>(beams), beams};

  for (Index b = 0; b < x.batch; ++b) {
    for (Index k = 0; k < beams; ++k) {
      rows.begin(k, b);
      now.copy_state(k, encoded, b);
    }
    std::fill_n(now.slots, beams * steps, Index{-1});
    now.scores[0] = S{0};
    now.live[0] = true;
    now.count = 1;
    for (Index i = 0; i < steps && std::find(now.live, now.live + now.count, true) != now.live + now.count; ++i) {
      const Workspace::Scope of_step(workspace);
      const SequenceView<S> queries = rows.step(decoder, now.state, workspace);
      ranking.count = 0;
      for (Index k = 0; k < now.count; ++k) {
        if (!now.live[k] || rows.point(k, b, queries) < 0) {
          ranking.add({now.scores[k], k, -1});
          continue;
        }
        for (Index j = 0; j < rows.slots(); ++j) {
          if (rows.allowed(k)[j] != 0) ranking.add({now.scores[k] + rows.log_probs()[j], k, j});
        }
      }
      std::copy_n(rows.allowed(0), beams * rows.slots(), parents_allowed);
      next.count = ranking.count;
      for (Index k = 0; k < beams; ++k) {
        const auto [score, parent, slot] = k < next.count ? ranking.best[k] : detail::BeamCandidate<S>{S{0}, 0, -1};
        next.copy(k, now, parent);
        std::copy_n(parents_allowed + parent * rows.slots(), rows.slots(), rows.allowed(k));
        next.slots[k * steps + i] = slot;
        next.scores[k] = score;
        next.live[k] = rows.advance(k, b, slot);
      }
      std::swap(now, next);
    }
    std::copy_n(now.slots, now.count * steps, found.slots.data() + b * beams * steps);
    std::copy_n(now.scores, now.count, &found.scores(b, 0));
  }
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
