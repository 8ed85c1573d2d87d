#pragma once

#include <stepscan/layers/multihead_recurrence.hpp>
#include <stepscan/ops/lstm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct MultiheadLstmName {
  static constexpr const char* name = "MultiheadLstm";
};

}  // namespace detail

/// LSTM in heads (FlashRNN, arXiv 2412.07752): gates i, f, z, o as in Lstm, recurrent weights within each head alone.
/// x [batch, time, Inputs], y [batch, time, Heads * HeadDim]; state h and c [batch, Heads * HeadDim].
/// Forms: Recurrent, Chunked.
template <Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadLstm = MultiheadRecurrence<LstmCell, detail::MultiheadLstmName, S, Inputs, Heads, HeadDim, Default>;

/// MultiheadLstm on pre-activations of its own: x [batch, time, 4 * Heads * HeadDim].
template <Scalar S, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadLstmOnGates = PreactivatedRecurrence<LstmCell, detail::MultiheadLstmName, S, Heads, HeadDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
