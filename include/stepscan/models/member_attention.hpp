#pragma once

#include <stepscan/layers/pointer_attention.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The queries of a decoder one after another, each at the memory of one batch member.
template <Scalar S>
class MemberAttention {
 public:
  MemberAttention(const PointerAttention<S>& attention, const PointerMemory<S>& memory, Workspace& workspace)
      : attention_(attention.scores()),
        memory_(memory),
        scores_(workspace.take<S>(items())),
        log_probs_(workspace.take<S>(items()), 1, 1, items()),
        probs_(workspace.take<S>(items()), 1, 1, items()) {}

  [[nodiscard]] Index items() const noexcept { return memory_.items.time; }

  /// A projected query at the allowed items, [items], of a member. Writes the context [1, 1, features], unless it is a
  /// view of nothing.
  void look(const S* query, Index member, const std::uint8_t* allowed, const SequenceView<S>& context) const noexcept {
    const PointerMemory<S> own{memory_.projected.members(member, 1), memory_.items.members(member, 1)};
    attention_.scores(own.projected, 0, query, scores_);
    point_one<S>(own, {allowed, 1, items()}, 0, 0, scores_, {log_probs_, probs_, context, nullptr});
  }
  /// Of the last query, [items].
  [[nodiscard]] const S* log_probs() const noexcept { return log_probs_.data; }

 private:
  PointerScores<S> attention_;
  PointerMemory<S> memory_;
  S* scores_;
  SequenceView<S> log_probs_;
  SequenceView<S> probs_;
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
