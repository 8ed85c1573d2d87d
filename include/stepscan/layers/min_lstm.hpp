#pragma once

#include <stepscan/layers/affine_layer.hpp>
#include <stepscan/ops/min_lstm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct MinLstmName {
  static constexpr const char* name = "MinLstm";
};

}  // namespace detail

/// Minimal LSTM ("Were RNNs all we needed?", arXiv 2410.01201, sections 3.2 and B.2):
///   v, f, i = W x + b,   h' = F h + I cand(v),   y = h'
/// with F = s(f), I = s(i), both divided by their sum where NormalizeGates is set.
/// weight [3 Hidden, Inputs] and bias [3 Hidden], rows v, f, i. x [batch, time, Inputs], y [batch, time, Hidden]; state
/// h [batch, Hidden], of any sign. Forms: Recurrent, Chunked, Parallel.
template <Scalar S, Index Inputs, Index Hidden, class Candidate = PositiveCandidate, bool NormalizeGates = true,
          class Default = Chunked<>>
using MinLstm =
    AffineRecurrence<MinLstmCell<Candidate, NormalizeGates>, detail::MinLstmName, S, Inputs, Hidden, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
