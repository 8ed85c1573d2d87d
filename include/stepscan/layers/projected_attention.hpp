#pragma once

#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/decay_gate.hpp>
#include <stepscan/layers/delta_rule.hpp>
#include <stepscan/layers/gated_delta_rule.hpp>
#include <stepscan/layers/lightning_attention.hpp>
#include <stepscan/layers/linear_attention.hpp>
#include <stepscan/layers/mlstm.hpp>
#include <stepscan/layers/parts.hpp>
#include <stepscan/layers/projected.hpp>
#include <stepscan/layers/scalar_gated_attention.hpp>

/// The attentions that read a decaying state, as layers over tokens of a model: one product makes queries, keys, values
/// and gates, activations by their papers, then the scan and one product back. Norms, rotations and output gates around
/// them are layers of their own. x, y [batch, time, Model]; parameters in_proj.weight [features of the scan, Model] and
/// out_proj.weight [Model, Heads * ValueDim]; forms and state are those of the scan. Sizes may be Dynamic:
/// GatedDeltaNet<float, Dynamic, Dynamic, Dynamic, Dynamic> layer(model, scan, model, gates).
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Features of [q | k | v].
constexpr Index qkv_features(Index heads, Index key_dim, Index value_dim) {
  return decay_inputs(HeadGates::none, heads, key_dim, value_dim);
}

/// A scan between projections from and to a model's features, with or without gates.
template <class Scan, Index Model, bool WithBias = false, class... Gates>
using ModelProjected = Projected<Scan, Linear<typename Scan::scalar_type, Model, Scan::static_inputs, WithBias>,
                                 Linear<typename Scan::scalar_type, Scan::static_outputs, Model, false>, Gates...>;

template <Scalar S, Index Heads, Index KeyDim, Index ValueDim>
using SiluHeads = Silu<S, qkv_features(Heads, KeyDim, ValueDim)>;
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim>
using PlainHeads = Activation<S, qkv_features(Heads, KeyDim, ValueDim), IdentityActivation>;

}  // namespace detail

/// Linear attention (arXiv 2006.16236) with the feature map elu + 1, normalised.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using LinearAttention =
    detail::ModelProjected<LinearAttentionScan<S, Heads, KeyDim, ValueDim, EluPlusOne, true, Default>, Model>;

/// Retention (RetNet, arXiv 2307.08621).
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using Retention = detail::ModelProjected<RetentionScan<S, Heads, KeyDim, ValueDim, Default>, Model>;

/// Lightning Attention-2 (arXiv 2401.04658), queries, keys and values through SiLU as in TransNormerLLM.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using LightningAttention = detail::ModelProjected<LightningAttentionScan<S, Heads, KeyDim, ValueDim, Default>, Model,
                                                  false, detail::SiluHeads<S, Heads, KeyDim, ValueDim>>;

/// Linear attention with one decay per head and token, g = logsigmoid(a) / 16: gated linear attention's gate
/// (arXiv 2312.06635, section 4.4) for whole heads.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using ScalarGatedAttention = detail::ModelProjected<
    ScalarGatedAttentionScan<S, Heads, KeyDim, ValueDim, Default>, Model, false,
    Parts<detail::PlainHeads<S, Heads, KeyDim, ValueDim>, Activation<S, Heads, LogSigmoidActivation<16>>>>;

/// mLSTM (xLSTM, arXiv 2405.04517): its cell has the activations of its gates; their pre-activations have biases.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using Mlstm = detail::ModelProjected<MlstmScan<S, Heads, KeyDim, ValueDim, Default>, Model, true>;

/// DeltaNet (arXiv 2406.06484, section 3.3): queries, keys and values through SiLU, queries and keys of unit length (by
/// the scan), beta a sigmoid.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using DeltaNet = detail::ModelProjected<DeltaRuleScan<S, Heads, KeyDim, ValueDim, Default>, Model, false,
                                        Parts<detail::SiluHeads<S, Heads, KeyDim, ValueDim>, Sigmoid<S, Heads>>>;

/// Gated DeltaNet (arXiv 2412.06464, section 3.4): as DeltaNet, with decays g = -exp(A_log) softplus(a + dt_bias).
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
using GatedDeltaNet = detail::ModelProjected<
    GatedDeltaRuleScan<S, Heads, KeyDim, ValueDim, Default>, Model, false,
    Parts<detail::SiluHeads<S, Heads, KeyDim, ValueDim>, Sigmoid<S, Heads>, LearnedDecay<S, Heads>>>;

}  // namespace stepscan::inline STEPSCAN_ISA
