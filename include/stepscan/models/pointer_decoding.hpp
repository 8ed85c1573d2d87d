#pragma once

#include <stepscan/models/pointer_network.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Sequences of slots that a pointer network found, best first: slots [batch, beams, steps], -1 behind the end of a
/// sequence, and scores [batch, beams], their sums of log-probabilities, not normalised by length. A beam that is not
/// used has slots of -1 and a score of 0.
template <Scalar S>
struct PointerSequences {
  Tensor<Index, Dynamic, Dynamic, Dynamic> slots;
  Tensor<S, Dynamic, Dynamic> scores;

  PointerSequences(Index batch, Index beams, Index steps) : slots(batch, beams, steps), scores(batch, beams) {
    slots.fill(-1);
  }
};

namespace detail {

/// The rows of a decoder that step together: their inputs, outputs and projected queries, each [rows, 1, ...], and what
/// they may point at, [rows, slots].
template <Scalar S>
class PointerRows {
 public:
  PointerRows(const PointerNetwork<S>& network, SequenceView<const S> x, const EncodedItems<S>& items, Index rows,
              Workspace& workspace)
      : network_(network),
        x_(x),
        memory_{items.projected, items.memory},
        slots_(network.slots(x.time)),
        inputs_(workspace.take<S>(rows * x.features), rows, 1, x.features),
        outputs_(workspace.take<S>(rows * network.hidden()), rows, 1, network.hidden()),
        allowed_(workspace.take<std::uint8_t>(rows * slots_)),
        scores_(workspace.take<S>(slots_)),
        log_probs_(workspace.take<S>(slots_), 1, 1, slots_),
        probs_(workspace.take<S>(slots_), 1, 1, slots_) {}

  [[nodiscard]] std::uint8_t* allowed(Index row) const noexcept { return allowed_ + row * slots_; }
  [[nodiscard]] Index slots() const noexcept { return slots_; }

  /// A row that has pointed at nothing yet.
  void begin(Index row, Index b) const noexcept {
    network_.allow_all(x_, b, allowed(row));
    std::copy(network_.go.begin(), network_.go.end(), inputs_.token(row, 0));
  }
  /// A row that has pointed at a slot of member b; whether it goes on.
  [[nodiscard]] bool advance(Index row, Index b, Index slot) const noexcept {
    const bool goes_on = slot >= 0 && slot < x_.time;
    if (!goes_on) return rest(row);
    network_.visit(x_.time, slot, allowed(row));
    std::copy_n(x_.token(b, slot), Index{x_.features}, inputs_.token(row, 0));
    return true;
  }
  /// A row whose steps nobody reads.
  bool rest(Index row) const noexcept {
    std::fill_n(inputs_.token(row, 0), Index{x_.features}, S{0});
    return false;
  }

  template <class Plan, class State>
  [[nodiscard]] SequenceView<S> step(const Plan& decoder, State& state, Workspace& workspace) const {
    decoder.step(state, SequenceView<const S>(inputs_).frame(0), outputs_.frame(0));
    return network_.pointer.project(outputs_, workspace);
  }

  /// The likeliest slot of a row; -1: nothing is allowed. log_probs() then are those of this row.
  [[nodiscard]] Index point(Index row, Index b, const SequenceView<S>& queries) const noexcept {
    Index choice = -1;
    const PointerMemory<S> own{memory_.projected.members(b, 1), memory_.items.members(b, 1)};
    network_.pointer.scores().scores(own.projected, 0, queries.token(row, 0), scores_);
    point_one<S>(own, {allowed(row), 1, slots_}, 0, 0, scores_, {log_probs_, probs_, {}, &choice});
    return choice;
  }
  [[nodiscard]] const S* log_probs() const noexcept { return log_probs_.data; }

 private:
  const PointerNetwork<S>& network_;
  SequenceView<const S> x_;
  PointerMemory<S> memory_;
  Index slots_;
  SequenceView<S> inputs_;
  SequenceView<S> outputs_;
  std::uint8_t* allowed_;
  S* scores_;
  SequenceView<S> log_probs_;
  SequenceView<S> probs_;
};

}  // namespace detail

/// Points at the likeliest slot at each of at most `steps` steps, the first of equals, and feeds it back. A sequence
/// ends with the terminal slot or when nothing is allowed. No step allocates once the workspace is warm.
template <Scalar S>
[[nodiscard]] PointerSequences<S> greedy_search(const PointerNetwork<S>& network,
                                                const typename PointerNetwork<S>::State& start, SequenceView<const S> x,
                                                Index steps, Workspace& workspace) {
  PointerSequences<S> found(x.batch, 1, steps);
  auto state = start;
  const EncodedItems<S> items = network.encode(state, x, workspace);
  const auto decoder = network.decoder.plan();
  const Workspace::Scope scope(workspace);
  const detail::PointerRows<S> rows(network, x, items, x.batch, workspace);
  bool* const live = workspace.take<bool>(x.batch);
  for (Index b = 0; b < x.batch; ++b) {
    rows.begin(b, b);
    live[b] = true;
  }
  for (Index i = 0; i < steps && std::find(live, live + x.batch, true) != live + x.batch; ++i) {
    const Workspace::Scope of_step(workspace);
    const SequenceView<S> queries = rows.step(decoder, state, workspace);
    for (Index b = 0; b < x.batch; ++b) {
      if (!live[b]) continue;
      const Index slot = rows.point(b, b, queries);
      if (slot >= 0) found.scores(b, 0) += rows.log_probs()[slot];
      found.slots(b, 0, i) = slot;
      live[b] = rows.advance(b, b, slot);
    }
  }
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
