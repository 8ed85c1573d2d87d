#pragma once

#include <stepscan/layers/multihead_recurrence.hpp>
#include <stepscan/ops/elman_rnn.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct MultiheadElmanName {
  static constexpr const char* name = "MultiheadElman";
};

}  // namespace detail

/// Elman network in heads (FlashRNN, arXiv 2412.07752): h' = tanh(W x + U h + b), U within each head alone.
/// x [batch, time, Inputs], y [batch, time, Heads * HeadDim]; state h [batch, Heads * HeadDim]. Forms: Recurrent,
/// Chunked.
template <Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadElman = MultiheadRecurrence<ElmanCell<>, detail::MultiheadElmanName, S, Inputs, Heads, HeadDim, Default>;

/// MultiheadElman on pre-activations of its own: x [batch, time, 1 * Heads * HeadDim].
template <Scalar S, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadElmanOnGates =
    PreactivatedRecurrence<ElmanCell<>, detail::MultiheadElmanName, S, Heads, HeadDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
