#pragma once

#include <stepscan/layers/multihead_recurrence.hpp>
#include <stepscan/ops/gru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct MultiheadGruName {
  static constexpr const char* name = "MultiheadGru";
};

}  // namespace detail

/// GRU in heads (FlashRNN, arXiv 2412.07752), reset after the product: recurrent weights of the blocks g, r, z; input
/// weights of r, z, n; biases of g, r, z, n:
///   n = tanh(W_n x + b_n + r (U_g h + b_g)),   h' = (1 - z) n + z h
/// x [batch, time, Inputs], y [batch, time, Heads * HeadDim]; state h [batch, Heads * HeadDim]. Forms: Recurrent,
/// Chunked.
template <Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadGru = MultiheadRecurrence<GruCell<>, detail::MultiheadGruName, S, Inputs, Heads, HeadDim, Default>;

/// MultiheadGru on pre-activations of its own: x [batch, time, 3 * Heads * HeadDim].
template <Scalar S, Index Heads, Index HeadDim, class Default = Chunked<>>
using MultiheadGruOnGates = PreactivatedRecurrence<GruCell<>, detail::MultiheadGruName, S, Heads, HeadDim, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
