#pragma once

#include <stepscan/layers/mamba2_ssd.hpp>
#include <stepscan/ops/decay_attention_backward.hpp>
#include <stepscan/ops/heads.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Training of Mamba2SsdScan: the tape keeps a view of x, the steps, and a state every 64 tokens or so. With dg and du
/// the cotangents of log decays and log weights,
///   d(dt) = (dg A + du / d) softplus'(dt + dt_bias),   dA_log = sum dg d A,   dD = sum x dy,   dx += D dy
/// and those of B and C are summed over the heads of a group.
template <Scalar S, Index Heads, Index HeadDim, Index StateDim, class Default>
struct Training<Mamba2SsdScan<S, Heads, HeadDim, StateDim, Default>> {
  using L = Mamba2SsdScan<S, Heads, HeadDim, StateDim, Default>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S> x;
    Tensor<S, Dynamic> steps;
    Tensor<S, Dynamic> states;
    DecayCheckpoints<S> kept;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S> x,
                      SequenceView<S, L::Outputs> y, Tape& tape) {
    constexpr bool recurrent = std::same_as<Form, Recurrent>;
    tape.x = x;
    const Index size = 2 * x.batch * x.time * layer.heads();
    if (tape.steps.size() < size) tape.steps = Tensor<S, Dynamic>(size);
    const auto op = layer.attention(x, tape.steps.data());
    tape.kept = decay_checkpoints(op, detail::schedule_of(form), recurrent, tape.states);
    decay_attention_scan(op, state.view(), SequenceView<S>(y), detail::schedule_of(form), recurrent, tape.workspace,
                         tape.kept);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::Outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S> dx, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    const Extent<Dynamic> heads(layer.heads()), channels(layer.heads() * layer.state_dim());
    auto op = layer.attention(tape.x, tape.steps.data());
    op.policy.dlog_decay = tape.workspace.template sequence<S>(tape.x, heads);
    op.policy.dlog_weight = tape.workspace.template sequence<S>(tape.x, heads);
    const SequenceView<S> dq = tape.workspace.template sequence<S>(tape.x, channels);
    const SequenceView<S> dk = tape.workspace.template sequence<S>(tape.x, channels);
    dstate_start = dstate_end;
    tape.kept.data = tape.states.data();  // of this tape, were it a copy
    decay_attention_backward(op, {dq, dk, layer.values(dx)}, SequenceView<const S>(dy), dstate_start.view(), tape.kept,
                             tape.workspace);
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      const auto sum = [&](const SequenceView<S>& from, const SequenceView<S>& to) {
        sum_heads<S>(from.member(b).middle_rows(0, tokens), layer.state_dim(), to.member(b).middle_rows(0, tokens));
      };
      sum(dk, layer.keys(dx));
      sum(dq, layer.queries(dx));
      for (Index t = 0; t < tokens; ++t) {
        pull_back_steps(layer, op.policy, tape.x, b, t, layer.steps(dx).token(b, t), gradient);
        pull_back_skip(layer, tape.x.token(b, t), dy.token(b, t), dx.token(b, t), gradient);
      }
    }
    clear_padding(tape.x, dx);
  }

 private:
  static void pull_back_steps(const L& layer, const WeightedDecay<S>& policy, const SequenceView<const S>& x, Index b,
                              Index t, S* ddt, L& gradient) noexcept {
    const S *d = policy.weight.token(b, t), *dg = policy.dlog_decay.token(b, t), *du = policy.dlog_weight.token(b, t);
    const S* const dt = layer.steps(x).token(b, t);
    for (Index h = 0; h < layer.heads(); ++h) {
      const S a = -std::exp(layer.A_log[h]), raw = dt[h] + layer.dt_bias[h];
      gradient.A_log[h] += dg[h] * d[h] * a;
      const bool kept = d[h] > static_cast<S>(layer.options.low) && d[h] < static_cast<S>(layer.options.high);
      const S slope = layer.options.softplus ? S{1} / (S{1} + std::exp(-raw)) : S{1};
      ddt[h] = kept ? dg[h] * a * slope + du[h] * (slope / d[h]) : S{0};
      gradient.dt_bias[h] += ddt[h];
    }
  }

  static void pull_back_skip(const L& layer, const S* x, const S* dy, S* dx, L& gradient) noexcept {
    const Index size = layer.head_dim();
    for (Index h = 0; h < layer.heads(); ++h) {
      gradient.D[h] += dot(x + h * size, dy + h * size, size);
      for (Index j = h * size; j < (h + 1) * size; ++j) dx[j] += layer.D[h] * dy[j];
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
