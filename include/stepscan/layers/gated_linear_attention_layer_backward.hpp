#pragma once

#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <stepscan/layers/decay_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/ops/gated_norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps what lies between the parts and the tapes of the parts.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Default>
struct Training<GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>> {
  using L = GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>;
  using State = typename L::State;
  using Part = detail::GlaPart;

  struct NoTape {};
  template <class Layer>
  struct TapeOf {
    using type = stepscan::Tape<Layer>;
  };
  using InTape = stepscan::Tape<decltype(L::q_proj)>;
  using ConvTape = typename std::conditional_t<Options.short_conv, TapeOf<decltype(L::q_conv1d)>,
                                               std::type_identity<NoTape>>::type;

  struct Tape {
    SequenceView<const S> x;
    Tensor<S, Dynamic> tokens;
    std::tuple<InTape, InTape, InTape, ConvTape, ConvTape, ConvTape, InTape,
               stepscan::Tape<Linear<S, Dynamic, Dynamic>>, stepscan::Tape<decltype(L::attention)>, InTape,
               stepscan::Tape<decltype(L::o_proj)>>
        parts;
    Workspace workspace;

    template <Part P>
    [[nodiscard]] auto& part() noexcept {
      return std::get<static_cast<std::size_t>(P)>(parts);
    }
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Model> x,
                      SequenceView<S, Model> y, Tape& tape) {
    tape.x = x;
    const Index room = x.batch * x.time * detail::GlaTokens<S>::features(layer.sizes());
    if (tape.tokens.size() < room) tape.tokens = Tensor<S, Dynamic>(room);
    const detail::GlaTokens<S> m = tokens(layer, tape.x, tape.tokens.data());
    layer.run_parts(m, state, x, y, [&](auto part, const auto& one, auto& own, const auto& from, const auto& to) {
      one.forward(own, from, to, tape.template part<decltype(part)::value>(), form);
    });
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Model> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Model> dx, State& dstate_start) {
    using detail::token_rows;
    const Workspace::Scope scope(tape.workspace);
    const auto& scan = layer.attention;
    const SequenceView<const S>& x = tape.x;
    const detail::GlaTokens<S> m = tokens(layer, x, tape.tokens.data());
    const Index room = x.batch * x.time * detail::GlaTokens<S>::features(layer.sizes());
    const detail::GlaTokens<S> d = tokens(layer, x, tape.workspace.template take<S>(room));
    const SequenceView<S> du = tape.workspace.template sequence<S>(x, Extent<Dynamic>(x.features));
    NoState none;
    for (Index b = 0; b < dx.batch; ++b) {
      for (Index t = 0; t < dx.time; ++t) std::fill_n(dx.token(b, t), Index{dx.features}, S{0});
    }
    const auto to_input = [&](auto& part_tape, const auto& part, const auto& cotangent, auto& part_gradient) {
      part.backward(part_tape, cotangent, none, part_gradient, du, none);
      add_tokens<S>(du, dx);
    };

    layer.o_proj.backward(tape.template part<Part::o>(), dy, none, gradient.o_proj, d.normed, none);
    if constexpr (Options.output_gate) {
      normalize_gated_backward<Centre::zero, SiluActivation, S>(layer.norm(), token_rows(m.o), token_rows(m.gate),
                                                                token_rows(d.normed), {gradient.g_norm.data()},
                                                                token_rows(d.o), token_rows(d.gate));
      to_input(tape.template part<Part::gate>(), layer.g_proj, d.gate, gradient.g_proj);
    } else {
      normalize_backward<Centre::zero, S>(layer.norm(), token_rows(m.o), token_rows(d.normed),
                                          {gradient.g_norm.data()}, token_rows(d.o));
    }
    scan.backward(tape.template part<Part::attention>(), d.o, dstate_end.attention, gradient.attention, d.x,
                  dstate_start.attention);
    sum_heads<S>(token_rows(scan.keys(d.x)), scan.key_dim(), token_rows(d.keys));
    sum_heads<S>(token_rows(scan.values(d.x)), scan.value_dim(), token_rows(d.values));
    sum_heads<S>(token_rows(scan.gates(d.x)), scan.key_dim(), token_rows(d.decays));
    log_gate_backward<S>(layer.log_gate, token_rows(m.gates), token_rows(d.decays), token_rows(d.gates));
    std::get<1>(layer.gk_proj).backward(tape.template part<Part::gates>(), d.gates, none,
                                        std::get<1>(gradient.gk_proj), d.low, none);
    to_input(tape.template part<Part::low>(), std::get<0>(layer.gk_proj), d.low, std::get<0>(gradient.gk_proj));
    if constexpr (Options.short_conv) {
      layer.q_conv1d.backward(tape.template part<Part::conv_q>(), scan.queries(d.x), dstate_end.q, gradient.q_conv1d,
                              d.q, dstate_start.q);
      layer.k_conv1d.backward(tape.template part<Part::conv_k>(), d.keys, dstate_end.k, gradient.k_conv1d, d.k,
                              dstate_start.k);
      layer.v_conv1d.backward(tape.template part<Part::conv_v>(), d.values, dstate_end.v, gradient.v_conv1d, d.v,
                              dstate_start.v);
      to_input(tape.template part<Part::q>(), layer.q_proj, d.q, gradient.q_proj);
      to_input(tape.template part<Part::k>(), layer.k_proj, d.k, gradient.k_proj);
      to_input(tape.template part<Part::v>(), layer.v_proj, d.v, gradient.v_proj);
    } else {
      to_input(tape.template part<Part::q>(), layer.q_proj, scan.queries(d.x), gradient.q_proj);
      to_input(tape.template part<Part::k>(), layer.k_proj, d.keys, gradient.k_proj);
      to_input(tape.template part<Part::v>(), layer.v_proj, d.values, gradient.v_proj);
    }
  }

 private:
  static detail::GlaTokens<S> tokens(const L& layer, const SequenceView<const S>& x, S* memory) {
    return {layer.sizes(), [&](Index features) {
              SequenceView<S> view(memory, x.batch, x.time, features);
              view.lengths = x.lengths;
              view.start = x.start;
              memory += x.batch * x.time * features;
              return view;
            }};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
