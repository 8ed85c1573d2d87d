#pragma once

#include <stepscan/core/config.hpp>
#include <stepscan/core/scalar.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// A hypothesis that may be kept: `parent` and one more choice, or, with choice -1, as it is.
template <Scalar S>
struct BeamCandidate {
  S score;
  Index parent;
  Index choice;
};

/// The best candidates seen so far, best first; of equals the one that came first.
template <Scalar S>
struct BeamRanking {
  BeamCandidate<S>* best;
  Index room;
  Index count = 0;

  void add(const BeamCandidate<S>& candidate) noexcept {
    if (count == room && !(candidate.score > best[room - 1].score)) return;
    Index at = count < room ? count++ : room - 1;
    for (; at > 0 && candidate.score > best[at - 1].score; --at) best[at] = best[at - 1];
    best[at] = candidate;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
