#pragma once

#include <stepscan/ops/decay_chunk.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// mLSTM's gates (xLSTM, arXiv 2405.04517, equations 19 to 27) as a policy of stabilised decays: from pre-activations i
/// and f [batch, time, heads],
///   m_t = max(log s(f_t) + m_(t-1), i_t),   a_t = exp(log s(f_t) + m_(t-1) - m_t),   b_t = exp(i_t - m_t)
template <Scalar S>
struct MlstmGates {
  static constexpr bool per_channel = false;
  static constexpr bool weighted = true;
  static constexpr bool stabilised = true;

  SequenceView<const S> input_gate;
  SequenceView<const S> forget_gate;
  SequenceView<S> dinput_gate;  ///< of a backward pass
  SequenceView<S> dforget_gate;

  void weigh(Index b, Index head, TokenRange tokens, S maximum, const DecayWeights<S>& to) const noexcept {
    const Index n = tokens.size();
    for (Index t = 0; t < n; ++t) to.log_decay[t] = forget_gate.token(b, tokens.begin + t)[head];
    transform(to.log_decay, to.log_decay, n, [](Simd<S> f) { return logsigmoid(f); });
    for (Index t = 0; t < n; ++t) {
      const S input = input_gate.token(b, tokens.begin + t)[head], carried = to.log_decay[t] + maximum;
      maximum = std::max(carried, input);
      to.maximum[t] = maximum;
      to.decay[t] = carried - maximum;
      to.log_input[t] = input - maximum;
    }
    transform(to.decay, to.decay, n, [](Simd<S> x) { return exp(x); });
    transform(to.input, to.log_input, n, [](Simd<S> x) { return exp(x); });
  }

  void pull_back(Index b, Index head, TokenRange tokens, const DecayCotangents<S>& from) const noexcept {
    for (Index t = 0; t < tokens.size(); ++t) {
      const S f = forget_gate.token(b, tokens.begin + t)[head];
      dforget_gate.token(b, tokens.begin + t)[head] = from.decay[t] / (S{1} + std::exp(f));
      dinput_gate.token(b, tokens.begin + t)[head] = from.input[t];
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
