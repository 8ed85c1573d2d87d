#pragma once

#include <stepscan/models/pointer_decoding.hpp>

namespace stepscan::inline STEPSCAN_ISA {

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
  const Workspace::Scope scope(workspace);
  detail::PointerRows<S> rows(network, x, items, beams, workspace);
  const auto by_score = [](S score, Index) { return score; };
  detail::decode_by_beams(rows, encoded, network.decoder.initial_state(beams),
                          detail::Decoded<S>{found.slots, found.scores}, workspace, by_score);
  return found;
}

}  // namespace stepscan::inline STEPSCAN_ISA
