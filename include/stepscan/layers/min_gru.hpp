#pragma once

#include <stepscan/layers/affine_layer.hpp>
#include <stepscan/ops/min_gru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

struct MinGruName {
  static constexpr const char* name = "MinGru";
};

}  // namespace detail

/// Minimal GRU ("Were RNNs all we needed?", arXiv 2410.01201, sections 3.1 and B.2):
///   v, a = W x + b,   z = s(a),   h' = (1 - z) h + z cand(v),   y = h'
/// with the candidate g(v) of the paper's log-space form (PositiveCandidate) or v itself (IdentityCandidate).
/// weight [2 Hidden, Inputs] and bias [2 Hidden], rows v then a. x [batch, time, Inputs], y [batch, time, Hidden];
/// state h [batch, Hidden], of any sign. Forms: Recurrent, Chunked, Parallel, all in linear space: decays lie in [0,
/// 1], so products of them underflow to 0 and nothing overflows.
template <Scalar S, Index Inputs, Index Hidden, class Candidate = PositiveCandidate, class Default = Chunked<>>
using MinGru = AffineRecurrence<MinGruCell<Candidate>, detail::MinGruName, S, Inputs, Hidden, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
