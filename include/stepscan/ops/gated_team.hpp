#pragma once

#include <stepscan/core/threads.hpp>
#include <stepscan/ops/gated_recurrence.hpp>

/// One stream on several threads: each thread owns a share of the hidden units, their recurrent weights (which then fit
/// its own second-level cache) and their part of the state; after every token all wait for each other.
namespace stepscan::inline STEPSCAN_ISA {

/// Below this many hidden units a token is too short to share.
inline constexpr Index team_hidden = 128;

/// How many threads can share one stream of `hidden` units: each needs whole panels of every gate.
template <Scalar S>
[[nodiscard]] inline int team_size(Index hidden, int threads) noexcept {
  const Index panels = hidden % panel_rows<S> == 0 && hidden >= team_hidden ? hidden / panel_rows<S> : 1;
  return static_cast<int>(std::min<Index>(threads, panels));
}

/// The form Chunked for one stream of a cell without a late candidate, on at most `threads` threads (team_size).
/// The same bits as scan_chunked: every pre-activation is the same sum in the same order.
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void scan_team(const Weights& weights, const StateRows<S, Cell::states>& state, SequenceView<const S, Inputs> x,
               SequenceView<S> y, Index chunk, int threads, Workspace& workspace) {
  static_assert(!Cell::late_candidate);
  const Workspace::Scope scope(workspace);
  const Index hidden = weights.hidden(), width = static_cast<Index>(Cell::gates) * hidden;
  const Index length = x.length(0);
  const Index tokens = std::min(chunk > 0 ? chunk : solve_hoisted_chunk(width * static_cast<Index>(sizeof(S))), x.time);
  S* memory = workspace.take<S>(tokens * width);
  SpinBarrier barrier;
  run_team(threads, [&](int rank, int size) {
    const Index panels = hidden / panel_rows<S>;
    const Index first = panels * rank / size * panel_rows<S>, end = panels * (rank + 1) / size * panel_rows<S>;
    MatrixView<const S> before = state[0];
    for (Index start = 0; start < length; start += tokens) {
      const Index count = std::min(tokens, length - start);
      const MatrixView<S> gates(memory, count, width);
      weights.project_units(x.member(0).middle_rows(start, count), gates, first, end - first);
      for (Index t = 0; t < count; ++t) {
        const MatrixView<S> token_gates = gates.middle_rows(t, 1), out = y.frame(start + t);
        weights.recur_units(before, token_gates, first, end - first);
        for_each_lanes<S>(end - first, [&](Index u, auto lanes) {
          u += first;
          auto next = detail::load_state<S>(state, 0, u, lanes);
          next[0] = lanes.load(before.row(0) + u);
          Cell::template advance<Math>(detail::load_gates<Cell::gates>(token_gates.row(0), hidden, u, lanes), next);
          for (std::size_t i = 1; i < Cell::states; ++i) lanes.store(state[i].row(0) + u, next[i]);
          lanes.store(out.row(0) + u, next[0]);
        });
        before = out;
        barrier.wait(size);
      }
    }
  });
  if (length > 0) std::copy_n(y.token(0, length - 1), hidden, state[0].row(0));
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
