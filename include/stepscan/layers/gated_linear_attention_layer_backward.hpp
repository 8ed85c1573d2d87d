#pragma once

#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/ops/decay_attention_backward.hpp>
#include <stepscan/ops/gated_norm_backward.hpp>
#include <stepscan/ops/heads.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class L>
struct PartTape {
  using type = Tape<L>;
};
template <>
struct PartTape<NoParameter> {
  using type = NoParameter;
};

template <class Parts>
struct TapesOfParts;
template <class... Layers>
struct TapesOfParts<GlaParts<Layers...>> {
  using type = GlaParts<typename PartTape<Layers>::type...>;
};

}  // namespace detail

/// Keeps what lies between the parts, the tapes of the parts, and a state every 64 tokens or so.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Default>
struct Training<GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>> {
  using L = GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>;
  using State = typename L::State;
  using Tokens = typename L::Tokens;

  struct Tape {
    SequenceView<const S, Model> x;
    typename detail::TapesOfParts<typename L::Parts>::type parts;
    Tensor<S, Dynamic> tokens;  ///< GlaTokens of the sequence
    Tensor<S, Dynamic> states;
    DecayCheckpoints<S> kept;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Model> x,
                      SequenceView<S, Model> y, Tape& tape) {
    tape.x = x;
    const Index size = x.batch * x.time * Tokens::features(layer.sizes);
    if (tape.tokens.size() < size) tape.tokens = Tensor<S, Dynamic>(size);
    layer.run_equations(
        tokens(layer, x, tape.tokens.data()), state, tape.parts, x, y,
        [&](const auto& part, auto& own_tape, auto& own, const auto& from, const auto& to) {
          part.forward(own, from, to, own_tape, form);
        },
        [&](const auto& op, const SequenceView<S>& o) {
          constexpr bool recurrent = std::same_as<Form, Recurrent>;
          tape.kept = decay_checkpoints(op, detail::schedule_of(form), recurrent, tape.states);
          decay_attention_scan(op, state.attention.view(), o, detail::schedule_of(form), recurrent, tape.workspace,
                               tape.kept);
        });
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Model> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Model> dx, State& dstate_start) {
    using detail::token_rows;
    const Workspace::Scope scope(tape.workspace);
    auto& tapes = tape.parts;
    const SequenceView<const S, Model> x = tape.x;
    const Tokens m = tokens(layer, x, tape.tokens.data());
    const Tokens d =
        tokens(layer, x, tape.workspace.template take<S>(x.batch * x.time * Tokens::features(layer.sizes)));
    const SequenceView<S, Model> more = tape.workspace.template sequence<S>(x, x.features);
    NoState none;
    const auto add_to_input = [&](const auto& part, auto& own_tape, const SequenceView<S>& cotangent, auto& own) {
      part.backward(own_tape, cotangent, none, own, more, none);
      add_tokens<S>(more, dx);
    };

    layer.o_proj.backward(tapes.o_proj, dy, none, gradient.o_proj, d.normed, none);
    if constexpr (Options.output_gate) {
      normalize_gated_backward<Centre::zero, SiluActivation, S>(
          layer.norm(), token_rows(m.o), token_rows(m.output_gate), token_rows(d.normed), {gradient.g_norm.data()},
          token_rows(d.o), token_rows(d.output_gate));
    } else {
      normalize_backward<Centre::zero, S>(layer.norm(), token_rows(m.o), token_rows(d.normed), {gradient.g_norm.data()},
                                          token_rows(d.o));
    }
    pull_back_attention(layer, tape, m, d, dstate_end, dstate_start);
    log_gate_backward<S>(layer.log_gate, token_rows(m.gates), token_rows(d.log_decay), token_rows(d.gates));
    if constexpr (Options.short_conv) {
      layer.q_conv1d.backward(tapes.q_conv1d, d.q, dstate_end.q, gradient.q_conv1d, d.q_in, dstate_start.q);
      layer.k_conv1d.backward(tapes.k_conv1d, d.k, dstate_end.k, gradient.k_conv1d, d.k_in, dstate_start.k);
      layer.v_conv1d.backward(tapes.v_conv1d, d.v, dstate_end.v, gradient.v_conv1d, d.v_in, dstate_start.v);
    }

    layer.q_proj.backward(tapes.q_proj, d.q_in, none, gradient.q_proj, dx, none);
    add_to_input(layer.k_proj, tapes.k_proj, d.k_in, gradient.k_proj);
    add_to_input(layer.v_proj, tapes.v_proj, d.v_in, gradient.v_proj);
    const auto& [down, up] = layer.gk_proj;
    auto& [down_tape, up_tape] = tapes.gk_proj;
    auto& [ddown, dup] = gradient.gk_proj;
    up.backward(up_tape, d.gates, none, dup, d.low_rank, none);
    add_to_input(down, down_tape, d.low_rank, ddown);
    if constexpr (Options.output_gate) add_to_input(layer.g_proj, tapes.g_proj, d.output_gate, gradient.g_proj);
  }

 private:
  /// From d.o to d.q, d.k, d.v and d.log_decay; heads that share keys, values and decays add up.
  static void pull_back_attention(const L& layer, Tape& tape, const Tokens& m, const Tokens& d, const State& dstate_end,
                                  State& dstate_start) {
    using detail::token_rows;
    const GlaSizes& n = layer.sizes;
    const Workspace::Scope scope(tape.workspace);
    const auto of_every_head = [&](Index dim) {
      return tape.workspace.template sequence<S>(tape.x, Extent<Dynamic>(n.heads * dim));
    };
    const SequenceView<S> dk = of_every_head(n.key_dim), dv = of_every_head(n.value_dim), dg = of_every_head(n.key_dim);
    dstate_start.attention = dstate_end.attention;
    tape.kept.data = tape.states.data();  // of this tape, were it a copy
    decay_attention_backward(layer.attention(m, dg), {d.q, dk, dv}, SequenceView<const S>(d.o),
                             dstate_start.attention.view(), tape.kept, tape.workspace);
    for (const SequenceView<S>& all : {dk, dv, dg}) clear_padding(tape.x, all);
    sum_heads<S>(token_rows(dk), n.key_dim, token_rows(d.k));
    sum_heads<S>(token_rows(dv), n.value_dim, token_rows(d.v));
    sum_heads<S>(token_rows(dg), n.key_dim, token_rows(d.log_decay));
  }

  static Tokens tokens(const L& layer, const SequenceView<const S, Model>& x, S* memory) {
    return {layer.sizes, [&](Index features) {
              SequenceView<S> view(memory, x.batch, x.time, features);
              view.lengths = x.lengths;
              view.start = x.start;
              memory += x.batch * x.time * features;
              return view;
            }};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
