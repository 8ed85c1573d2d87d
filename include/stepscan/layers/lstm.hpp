#pragma once

#include <stepscan/layers/dense_recurrence.hpp>
#include <stepscan/ops/lstm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct LstmOrder {
  static constexpr const char* name = "Lstm";
  static constexpr auto input = gates_in_order<0, 4>;
  static constexpr auto recurrent = gates_in_order<0, 4>;
};

}  // namespace detail

/// Long short-term memory (Hochreiter and Schmidhuber 1997) as torch.nn.LSTM of one layer has it:
///   i, f, o = s(W x + b_ih + U h + b_hh),  g = tanh(...)      blocks of rows i, f, g, o
///   c' = f c + i g,   h' = o tanh(c'),   y = h'
/// x [batch, time, Inputs], y [batch, time, Hidden]; state h and c [batch, Hidden].
/// Forms: Recurrent, Chunked, Newton. Either size may be Dynamic: Lstm<float, Dynamic, Dynamic> layer(inputs, hidden).
template <Scalar S, Index Inputs, Index Hidden, class Default = Chunked<>>
using Lstm = DenseRecurrence<LstmCell, detail::LstmOrder, S, Inputs, Hidden, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
