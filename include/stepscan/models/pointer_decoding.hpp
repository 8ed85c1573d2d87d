#pragma once

#include <stepscan/models/decoding.hpp>
#include <stepscan/models/member_attention.hpp>
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

/// Rows of a pointer network's decoder (models/decoding.hpp): what each looks for, its input, [rows, 1, features], and
/// what it may point at, [rows, slots].
template <Scalar S>
class PointerRows {
 public:
  PointerRows(const PointerNetwork<S>& network, const SequenceView<const S>& x, const EncodedItems<S>& items,
              Index rows, Workspace& workspace)
      : network_(network),
        decoder_(network.decoder.plan()),
        x_(x),
        attention_(network.pointer, {items.projected, items.memory}, workspace),
        members_(workspace.take<Index>(rows)),
        inputs_(workspace.take<S>(rows * x.features), rows, 1, x.features),
        outputs_(workspace.take<S>(rows * network.hidden()), rows, 1, network.hidden()),
        allowed_(workspace.matrix<std::uint8_t>(rows, Extent<Dynamic>(attention_.items()))),
        parents_allowed_(workspace.matrix<std::uint8_t>(rows, Extent<Dynamic>(attention_.items()))) {}

  void begin(Index row, Index member) const noexcept {
    members_[row] = member;
    network_.allow_all(x_, member, allowed_.row(row));
    std::copy(network_.go.begin(), network_.go.end(), inputs_.token(row, 0));
  }
  void step(typename PointerNetwork<S>::State& state, Workspace& workspace) {
    decoder_.step(state, SequenceView<const S>(inputs_).frame(0), outputs_.frame(0));
    queries_ = network_.pointer.project(outputs_, workspace);
  }
  template <class Function>
  void for_each_choice(Index row, Function&& f) const {
    attention_.look(queries_.token(row, 0), members_[row], allowed_.row(row), {});
    for (Index slot = 0; slot < attention_.items(); ++slot) {
      if (allowed_(row, slot) != 0) f(slot, attention_.log_probs()[slot]);
    }
  }
  void select(std::span<const Index> parents) const noexcept {
    const Index slots = attention_.items();
    std::copy_n(allowed_.data, allowed_.rows * slots, parents_allowed_.data);
    for (std::size_t k = 0; k < parents.size(); ++k) {
      std::copy_n(parents_allowed_.row(parents[k]), slots, allowed_.row(static_cast<Index>(k)));
    }
  }
  [[nodiscard]] bool advance(Index row, Index slot) const noexcept {
    S* const input = inputs_.token(row, 0);
    if (slot < 0 || slot >= x_.time) {
      std::fill_n(input, Index{x_.features}, S{0});
      return false;
    }
    network_.visit(x_.time, slot, allowed_.row(row));
    std::copy_n(x_.token(members_[row], slot), Index{x_.features}, input);
    return true;
  }

 private:
  using Decoder = decltype(std::declval<const PointerNetwork<S>&>().decoder.plan());

  const PointerNetwork<S>& network_;
  Decoder decoder_;
  SequenceView<const S> x_;
  MemberAttention<S> attention_;
  Index* members_;
  SequenceView<S> inputs_;
  SequenceView<S> outputs_;
  SequenceView<S> queries_;
  MatrixView<std::uint8_t> allowed_;
  MatrixView<std::uint8_t> parents_allowed_;
};

}  // namespace detail

/// Points at the likeliest slot at each of at most `steps` steps, the first of equals, and feeds it back. A sequence
/// ends with the terminal slot or when nothing is allowed. No step allocates once the workspace is warm.
template <Scalar S>
[[nodiscard]] PointerSequences<S> greedy_search(const PointerNetwork<S>& network,
                                                const typename PointerNetwork<S>::State& start, SequenceView<const S> x,
                                                Index steps, Workspace& workspace) {
  PointerSequences<S> found(x.batch, 1, steps);
  auto encoded = start;
  const EncodedItems<S> items = network.encode(encoded, x, workspace);
  const Workspace::Scope scope(workspace);
  detail::PointerRows<S> rows(network, x, items, x.batch, workspace);
  detail::decode_greedily(rows, encoded, detail::Decoded<S>{found.slots, found.scores}, workspace);
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
