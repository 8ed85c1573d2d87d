#pragma once

#include <stepscan/layers/activation.hpp>
#include <stepscan/layers/glu.hpp>
#include <stepscan/layers/layer_norm.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/residual.hpp>

/// The block that S4 stands in (arXiv 2111.00396, appendix D.2; without dropout), around any state space layer: S4,
/// S4d, Dss, S5, Lru, Lssl.
///   pre-norm    y = x + glu(W gelu(ssm(norm(x))) + b)
///   post-norm   y = norm(x + glu(W gelu(ssm(x)) + b))
/// W [2 Features, outputs of the state space], b [2 Features]; x and y [batch, time, Features]. Parameters and states
/// are named 0, 1, ... as the layers are.
///
///   using Block = S4Block<S4d<float, 128, 64>>;               // step, scan, train as any layer
///   auto block = s4_block(S4d<float, Dynamic, Dynamic>(width, 64));
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <SequenceLayer Ssm>
using BlockNorm = LayerNorm<typename Ssm::scalar_type, Ssm::static_inputs>;
template <SequenceLayer Ssm>
using BlockGelu = Gelu<typename Ssm::scalar_type, Ssm::static_outputs>;
template <SequenceLayer Ssm>
using BlockMix = Linear<typename Ssm::scalar_type, Ssm::static_outputs, static_product(2, Ssm::static_inputs)>;
template <SequenceLayer Ssm>
using BlockGlu = Glu<typename Ssm::scalar_type, Ssm::static_inputs>;

}  // namespace detail

template <SequenceLayer Ssm, SequenceLayer Norm = detail::BlockNorm<Ssm>>
using S4Block = Residual<Norm, Ssm, detail::BlockGelu<Ssm>, detail::BlockMix<Ssm>, detail::BlockGlu<Ssm>>;

template <SequenceLayer Ssm, SequenceLayer Norm = detail::BlockNorm<Ssm>>
using PostNormS4Block =
    Sequential<Residual<Ssm, detail::BlockGelu<Ssm>, detail::BlockMix<Ssm>, detail::BlockGlu<Ssm>>, Norm>;

/// A system in each direction; W reads both. Has no step.
template <SequenceLayer Forward, SequenceLayer Backward = Forward>
using BidirectionalS4Block = S4Block<Bidirectional<Forward, Backward>>;

/// The block around a state space layer of any sizes; the other parameters are zero.
template <class Norm = void, SequenceLayer Ssm>
[[nodiscard]] auto s4_block(Ssm ssm) {
  using Own = std::conditional_t<std::is_void_v<Norm>, detail::BlockNorm<Ssm>, Norm>;
  const Index features = ssm.input_size(), outputs = ssm.output_size();
  return S4Block<Ssm, Own>(Own(features), std::move(ssm), detail::BlockGelu<Ssm>(outputs),
                           detail::BlockMix<Ssm>(outputs, 2 * features), detail::BlockGlu<Ssm>(features));
}

template <class Norm = void, SequenceLayer Ssm>
[[nodiscard]] auto post_norm_s4_block(Ssm ssm) {
  using Own = std::conditional_t<std::is_void_v<Norm>, detail::BlockNorm<Ssm>, Norm>;
  const Index features = ssm.input_size(), outputs = ssm.output_size();
  return PostNormS4Block<Ssm, Own>(
      Residual(std::move(ssm), detail::BlockGelu<Ssm>(outputs), detail::BlockMix<Ssm>(outputs, 2 * features),
               detail::BlockGlu<Ssm>(features)),
      Own(features));
}

}  // namespace stepscan::inline STEPSCAN_ISA
