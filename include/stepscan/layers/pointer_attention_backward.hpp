#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/layers/pointer_attention.hpp>
#include <stepscan/ops/pointer_attention_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The backward pass of PointerAttention::point and of `remember`: adds to the gradient, writes ditems and dqueries. Of
/// `cotangents` the caller gives the results and their cotangents.
template <Scalar S>
void pointer_backward(const PointerAttention<S>& layer, const Tensor<S, Dynamic, Dynamic, Dynamic>& projected,
                      SequenceView<const S> items, SequenceView<const S> queries, const PointerMask& mask,
                      PointerCotangents<S> cotangents, PointerAttention<S>& gradient, SequenceView<S> ditems,
                      SequenceView<S> dqueries, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const auto cleared = [](SequenceView<S> d) {
    clear_tokens(d);
    return d;
  };
  const PointerMemory<S> memory{projected, items};
  const SequenceView<S> own = layer.project(queries, workspace);
  cotangents.dprojected = cleared(workspace.template sequence<S>(memory.projected, memory.projected.features));
  cotangents.dqueries = cleared(workspace.template sequence<S>(own, own.features));
  cotangents.ditems = cleared(ditems);
  cotangents.dv = gradient.v.data();
  pointer_attention_backward<S>(layer.scores(), memory, own, mask, cotangents, workspace);
  cleared(dqueries);
  for (Index b = 0; b < items.batch; ++b) {
    const MatrixView<const S> dkeys = cotangents.dprojected.member(b), dq = cotangents.dqueries.member(b);
    gemm_add<S>(gradient.w1, dkeys, items.member(b));
    gemm_add_left_transposed<S>(ditems.member(b), dkeys, layer.w1);
    gemm_add_left_transposed<S>(gradient.w2, dq, queries.member(b));
    gemm_add<S>(dqueries.member(b), dq, layer.w2);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
