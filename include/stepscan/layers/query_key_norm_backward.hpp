#pragma once

#include <stepscan/layers/query_key_norm.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/ops/norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The statistics are taken again; the values pass through.
template <class L>
struct QueryKeyNormPullback {
  using S = typename L::scalar_type;

  static void pull_back(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L& gradient, MatrixView<S> dx) {
    layer.for_each_norm([&](auto which, Index first, Index heads) {
      const Index count = heads * (layer.*which).input_size();
      normalize_backward<Centre::zero, S>(layer.norm(which, heads), x.middle_cols(first, count),
                                          dy.middle_cols(first, count), {(gradient.*which).weight.data()},
                                          dx.middle_cols(first, count));
    });
    for (Index t = 0; t < x.rows; ++t) {
      std::copy(dy.row(t) + layer.first_value(), dy.row(t) + dy.cols, dx.row(t) + layer.first_value());
    }
  }
};

}  // namespace detail

template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim>
struct Training<QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>>
    : detail::StatelessTraining<QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>,
                                detail::QueryKeyNormPullback<QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
