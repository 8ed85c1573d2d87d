#pragma once

#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/gated_norm.hpp>
#include <stepscan/ops/log_gate.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a GatedLinearAttention may do without.
struct GlaOptions {
  bool short_conv = false;  ///< short convolutions of q, k and v
  bool output_gate = true;
};

/// The sizes of a GatedLinearAttention.
struct GlaSizes {
  Index model = 0;
  Index heads = 0;
  Index kv_heads = 0;   ///< divides heads
  Index key_dim = 0;    ///< of a head
  Index value_dim = 0;  ///< of a head
  Index gate_rank = 16;
  Index conv_width = 4;
};

/// S [batch, Heads, KeyDim, ValueDim]; conv_q, conv_k, conv_v [batch, conv_width - 1, channels], what entered the short
/// convolutions last; and the scratch of one step.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, bool ShortConv>
struct GlaState {
  using Conv = std::conditional_t<ShortConv, CausalConv1dState<S, Dynamic, Dynamic>, NoState>;

  MatrixState<S, Heads, KeyDim, ValueDim> attention;
  Conv q, k, v;
  Scratch<S> scratch;

  static constexpr auto fields() {
    const auto attention_state = Field{"", &GlaState::attention};
    if constexpr (ShortConv) {
      constexpr auto past_q = [](auto& state) -> auto& { return state.q.conv; };
      constexpr auto past_k = [](auto& state) -> auto& { return state.k.conv; };
      constexpr auto past_v = [](auto& state) -> auto& { return state.v.conv; };
      return std::tuple{attention_state, Field{"conv_q", past_q}, Field{"conv_k", past_k}, Field{"conv_v", past_v}};
    } else {
      return std::tuple{attention_state};
    }
  }
};

/// The parts of a GatedLinearAttention: layers, their plans, or their tapes.
template <class In, class Conv, class Gates, class Gate, class Out>
struct GlaParts {
  In q_proj, k_proj, v_proj;
  Conv q_conv1d, k_conv1d, v_conv1d;
  std::tuple<In, Gates> gk_proj;
  Gate g_proj;
  Out o_proj;
};
template <class In, class Conv, class Gates, class Gate, class Out>
GlaParts(In, In, In, Conv, Conv, Conv, std::tuple<In, Gates>, Gate, Out) -> GlaParts<In, Conv, Gates, Gate, Out>;

/// What a GatedLinearAttention is beside its parts.
template <Scalar S, Index ValueDim>
struct GlaSettings {
  GlaSizes sizes;
  Tensor<S, ValueDim> g_norm;  ///< the weight of the norm, the same for every head
  S scale;                     ///< multiplies the queries; key_dim^-0.5 unless set
  LogGate<S> log_gate{};
  S eps = static_cast<S>(1e-5);  ///< of the norm
};

namespace detail {

/// What lies between the parts of a GatedLinearAttention, for some tokens; make(features) gives room for one of them.
template <Scalar S, bool ShortConv>
struct GlaTokens {
  SequenceView<S> q, k, v;
  SequenceView<S> q_in, k_in, v_in;  ///< before the short convolutions; without them q, k and v
  SequenceView<S> low_rank, gates, log_decay;
  SequenceView<S> o, output_gate, normed;

  template <class Make>
  GlaTokens(const GlaSizes& n, Make&& make)
      : q(make(n.heads * n.key_dim)),
        k(make(n.kv_heads * n.key_dim)),
        v(make(n.kv_heads * n.value_dim)),
        q_in(ShortConv ? make(n.heads * n.key_dim) : q),
        k_in(ShortConv ? make(n.kv_heads * n.key_dim) : k),
        v_in(ShortConv ? make(n.kv_heads * n.value_dim) : v),
        low_rank(make(n.gate_rank)),
        gates(make(n.kv_heads * n.key_dim)),
        log_decay(make(n.kv_heads * n.key_dim)),
        o(make(n.heads * n.value_dim)),
        output_gate(make(n.heads * n.value_dim)),
        normed(make(n.heads * n.value_dim)) {}

  /// Numbers that a token takes.
  [[nodiscard]] static Index features(const GlaSizes& n) noexcept {
    Index sum = 0;
    GlaTokens(n, [&](Index count) {
      sum += count;
      return SequenceView<S>();
    });
    return sum;
  }
};

/// All tokens of sequences whose members follow each other.
template <class T>
[[nodiscard]] MatrixView<T> token_rows(const SequenceView<T>& x) noexcept {
  return {x.data, x.batch * x.time, Index{x.features}, x.time_stride};
}

}  // namespace detail

/// What a GatedLinearAttention and its plan share. Self has the members of GlaParts.
template <class Self, Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Math,
          class Default>
class GlaLayer : public Layer<Self, S, Model, Model>, public GlaSettings<S, ValueDim> {
 public:
  using State = GlaState<S, Heads, KeyDim, ValueDim, Options.short_conv>;
  using Tokens = detail::GlaTokens<S, Options.short_conv>;
  using Attention = DecayAttention<S, ChannelDecay<S>>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;
  template <class Form>
  static constexpr Index block_tokens =
      detail::PartsBlock<std::conditional_t<std::same_as<Form, OwnForm>, Default, Form>>::tokens;

  [[nodiscard]] Index input_size() const noexcept { return this->sizes.model; }
  [[nodiscard]] Index output_size() const noexcept { return this->sizes.model; }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    const DecaySizes heads = decay_sizes();
    State state;
    state.attention = {batch, heads, Attention{.sizes = heads}.tile_size(1)};
    if constexpr (Options.short_conv) {
      state.q = self().q_conv1d.initial_state(batch);
      state.k = self().k_conv1d.initial_state(batch);
      state.v = self().v_conv1d.initial_state(batch);
    }
    state.scratch = Scratch<S>(batch * Tokens::features(this->sizes));
    return state;
  }

  /// GLA on q, k, v and g; a backward pass writes the cotangents of the decays of every head to dlog_decay.
  [[nodiscard]] Attention attention(const Tokens& m, const SequenceView<S>& dlog_decay = {}) const noexcept {
    const Index shared = this->sizes.heads / this->sizes.kv_heads;
    return {.sizes = decay_sizes(),
            .scale = this->scale,
            .policy = {this->sizes.key_dim, m.log_decay, dlog_decay, shared},
            .q = m.q,
            .k = m.k,
            .v = m.v,
            .shared = {.keys = shared, .values = shared}};
  }

  [[nodiscard]] Norm<S> norm() const noexcept {
    return {this->sizes.heads, this->eps, this->g_norm.data(), nullptr, true};
  }

  /// The equations of the layer: run(part, tape, state, in, out) runs a part, attend(op, o) the attention.
  template <class Tapes, class Run, class Attend>
  void run_equations(const Tokens& m, State& state, Tapes& tapes, const SequenceView<const S, Model>& x,
                     const SequenceView<S, Model>& y, Run&& run, Attend&& attend) const {
    using detail::token_rows;
    NoState none;
    run(self().q_proj, tapes.q_proj, none, x, m.q_in);
    run(self().k_proj, tapes.k_proj, none, x, m.k_in);
    run(self().v_proj, tapes.v_proj, none, x, m.v_in);
    if constexpr (Options.short_conv) {
      run(self().q_conv1d, tapes.q_conv1d, state.q, m.q_in, m.q);
      run(self().k_conv1d, tapes.k_conv1d, state.k, m.k_in, m.k);
      run(self().v_conv1d, tapes.v_conv1d, state.v, m.v_in, m.v);
    }
    run(std::get<0>(self().gk_proj), std::get<0>(tapes.gk_proj), none, x, m.low_rank);
    run(std::get<1>(self().gk_proj), std::get<1>(tapes.gk_proj), none, m.low_rank, m.gates);
    stepscan::log_gate<Math, S>(this->log_gate, token_rows(m.gates), token_rows(m.log_decay));
    attend(attention(m), m.o);
    if constexpr (Options.output_gate) {
      run(self().g_proj, tapes.g_proj, none, x, m.output_gate);
      normalize_gated<Centre::zero, SiluActivation, Math, S>(norm(), token_rows(m.o), token_rows(m.output_gate),
                                                             token_rows(m.normed));
    } else {
      normalize<Centre::zero, S>(norm(), token_rows(m.o), token_rows(m.normed));
    }
    run(self().o_proj, tapes.o_proj, none, m.normed, y);
  }

 protected:
  explicit GlaLayer(GlaSettings<S, ValueDim> settings) : GlaSettings<S, ValueDim>(std::move(settings)) {}

 private:
  friend Layer<Self, S, Model, Model>;
  using NoTape = detail::NoParameter;
  using NoTapes = GlaParts<NoTape, NoTape, NoTape, NoTape, NoTape>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  [[nodiscard]] DecaySizes decay_sizes() const noexcept {
    return {this->sizes.heads, this->sizes.key_dim, this->sizes.value_dim};
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Model> x, MatrixView<S, Dynamic, Model> y) const noexcept {
    S* next = state.scratch.data();
    const Tokens m(this->sizes, [&](Index features) {
      S* data = next;
      next += x.rows * features;
      return SequenceView<S>(data, Index{x.rows}, 1, features);
    });
    NoTapes tapes;
    run_equations(
        m, state, tapes, one_token(x), one_token(y),
        [](const auto& part, auto&, auto& own, const auto& from, const auto& to) {
          part.step(own, from.frame(0), to.frame(0));
        },
        [&](const Attention& op, const SequenceView<S>& o) {
          decay_attention_step(op, state.attention.view(), o, state.attention.scratch.data());
        });
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Model> x, SequenceView<S, Model> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    for (Index start = 0; start < x.time; start += block_tokens<Form>) {
      const Workspace::Scope block(workspace);
      const Index count = std::min(block_tokens<Form>, x.time - start);
      const SequenceView<const S, Model> in = x.slice(start, count);
      const Tokens m(this->sizes,
                     [&](Index features) { return workspace.template sequence<S>(in, Extent<Dynamic>(features)); });
      NoTapes tapes;
      run_equations(
          m, state, tapes, in, y.slice(start, count),
          [&](const auto& part, auto&, auto& own, const auto& from, const auto& to) {
            part.scan(own, from, to, workspace, form);
          },
          [&](const Attention& op, const SequenceView<S>& o) {
            decay_attention_scan(op, state.attention.view(), o, detail::schedule_of(form),
                                 std::same_as<Form, Recurrent>, workspace);
          });
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
