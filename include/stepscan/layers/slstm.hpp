#pragma once

#include <stepscan/layers/multihead_recurrence.hpp>
#include <stepscan/ops/slstm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct SlstmName {
  static constexpr const char* name = "Slstm";
};

}  // namespace detail

/// sLSTM (xLSTM, arXiv 2405.04517, section 2.2; FlashRNN, arXiv 2412.07752, with NormalizerFloor::one): an LSTM in
/// heads with an exponential input gate, a normaliser n and a stabiliser m; gates i, f, z, o. See SlstmCell for the
/// equations. x [batch, time, Inputs], y [batch, time, Heads * HeadDim]; state h, c, n, m [batch, Heads * HeadDim].
/// Forms: Recurrent, Chunked.
template <Scalar S, Index Inputs, Index Heads, Index HeadDim, NormalizerFloor Floor = NormalizerFloor::zero,
          class Default = Chunked<>>
using Slstm = MultiheadRecurrence<SlstmCell<Floor>, detail::SlstmName, S, Inputs, Heads, HeadDim, Default>;

/// Slstm on pre-activations of its own: x [batch, time, 4 * Heads * HeadDim].
template <Scalar S, Index Heads, Index HeadDim, NormalizerFloor Floor = NormalizerFloor::zero,
          class Default = Chunked<>>
using SlstmOnGates = PreactivatedRecurrence<SlstmCell<Floor>, detail::SlstmName, S, Heads, HeadDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
