#pragma once

#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/mamba.hpp>
#include <stepscan/ops/selective_scan_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps what lies between the parts, the tapes of the parts, and the states that entered every few tokens.
template <Scalar S, Index Model, Index Inner, Index StateSize, Index Width, Index Rank, MambaBiases Biases,
          class Default>
struct Training<Mamba<S, Model, Inner, StateSize, Width, Rank, Biases, Default>> {
  using L = Mamba<S, Model, Inner, StateSize, Width, Rank, Biases, Default>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S, Model> u;
    stepscan::Tape<decltype(L::in_proj)> in_proj;
    stepscan::Tape<decltype(L::conv)> conv;
    stepscan::Tape<decltype(L::x_proj)> x_proj;
    stepscan::Tape<decltype(L::dt_proj)> dt_proj;
    stepscan::Tape<decltype(L::out_proj)> out_proj;
    Tensor<S, Dynamic> tokens;       ///< MambaTokens of the sequence
    Tensor<S, Dynamic> checkpoints;  ///< of the scan
    ScanSchedule schedule;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Model> u,
                      SequenceView<S, Model> out, Tape& tape) {
    const Workspace::Scope scope(tape.workspace);
    const SelectiveParameters<S> p = pack_parameters(layer.scan_parameters(), tape.workspace);
    tape.u = u;
    tape.schedule = detail::schedule_of(form);
    grow(tape.tokens, u.batch * u.time * token_features(layer));
    grow(tape.checkpoints, selective_checkpoint_size<S>(p.layout, u.batch, u.time, tape.schedule));
    const detail::MambaTokens<S> m = tokens(layer, u, tape.tokens.data());
    NoState none;
    layer.in_proj.forward(none, u, m.xz, tape.in_proj, form);
    layer.conv.forward(state.conv, m.before_conv(), m.x, tape.conv, form);
    layer.x_proj.forward(none, m.x, m.weights, tape.x_proj, form);
    layer.dt_proj.forward(none, m.r(), m.delta, tape.dt_proj, form);
    selective_scan<Exact, S>(p, m.inputs(), planes_data(state.ssm.h), m.y, tape.schedule, tape.workspace,
                             tape.checkpoints.data());
    layer.out_proj.forward(none, m.y, out, tape.out_proj, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Model> dout, const State& dstate_end,
                       L& gradient, SequenceView<S, Model> du, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    const SequenceView<const S, Model> u = tape.u;
    const SelectiveParameters<S> p = pack_parameters(layer.scan_parameters(), tape.workspace);
    const detail::MambaTokens<S> m = tokens(layer, u, tape.tokens.data());
    const detail::MambaTokens<S> d =
        tokens(layer, u, tape.workspace.template take<S>(u.batch * u.time * token_features(layer)));
    const MatrixView<S> dA = tape.workspace.template matrix<S, Dynamic>(p.layout.features, p.layout.state_size);
    std::fill_n(dA.data, dA.rows * dA.cols, S{0});
    NoState none;

    layer.out_proj.backward(tape.out_proj, dout, none, gradient.out_proj, d.y, none);
    dstate_start.ssm.h = dstate_end.ssm.h;
    selective_scan_backward<S>(p, m.inputs(), tape.checkpoints.data(), d.y, planes_data(dstate_start.ssm.h),
                               d.sequences(), {{dA}, {}, {}, gradient.D.data(), nullptr}, tape.schedule,
                               tape.workspace);
    for (Index i = 0; i < layer.A_log.size(); ++i) gradient.A_log[i] -= dA.data[i] * std::exp(layer.A_log[i]);
    layer.dt_proj.backward(tape.dt_proj, d.delta, none, gradient.dt_proj, d.r(), none);
    // The convolution's output is read by the scan and by x_proj; d.y is free by now.
    layer.x_proj.backward(tape.x_proj, d.weights, none, gradient.x_proj, d.y, none);
    add_tokens<S>(d.y, d.x);
    layer.conv.backward(tape.conv, d.x, dstate_end.conv, gradient.conv, d.before_conv(), dstate_start.conv);
    layer.in_proj.backward(tape.in_proj, d.xz, none, gradient.in_proj, du, none);
  }

 private:
  static void grow(Tensor<S, Dynamic>& tensor, Index size) {
    if (tensor.size() < size) tensor = Tensor<S, Dynamic>(size);
  }
  static Index token_features(const L& layer) {
    return detail::MambaTokens<S>::features(layer.D.size(), layer.dt_proj.input_size(), layer.A_log.extent(1));
  }
  static detail::MambaTokens<S> tokens(const L& layer, const SequenceView<const S, Model>& u, S* memory) {
    return {layer.D.size(), layer.dt_proj.input_size(), layer.A_log.extent(1), [&](Index features) {
              SequenceView<S> view(memory, u.batch, u.time, features);
              view.lengths = u.lengths;
              view.start = u.start;
              memory += u.batch * u.time * features;
              return view;
            }};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
