#pragma once

#include <stepscan/layers/dense_recurrence.hpp>
#include <stepscan/ops/elman_rnn.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct ElmanOrder {
  static constexpr const char* name = "ElmanRnn";
  static constexpr auto input = gates_in_order<0, 1>;
  static constexpr auto recurrent = gates_in_order<0, 1>;
};

}  // namespace detail

/// Simple recurrent network (Elman 1990) as torch.nn.RNN of one layer has it:
///   h' = phi(W x + b_ih + U h + b_hh),   y = h',   phi = tanh or, with ReluActivation, max(0, x)
/// x [batch, time, Inputs], y [batch, time, Hidden]; state h [batch, Hidden]. Forms: Recurrent, Chunked, Newton.
template <Scalar S, Index Inputs, Index Hidden, class Activation = TanhActivation, class Default = Chunked<>>
using ElmanRnn = DenseRecurrence<ElmanCell<Activation>, detail::ElmanOrder, S, Inputs, Hidden, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
