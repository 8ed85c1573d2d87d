#pragma once

#include <stepscan/layers/causal_conv1d.hpp>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/gated_linear_attention.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/gated_norm.hpp>
#include <stepscan/ops/heads.hpp>
#include <stepscan/ops/log_gate.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The parts that a GatedLinearAttention may have.
struct GlaOptions {
  bool short_conv = false;  ///< short convolutions of q, k and v
  bool output_gate = true;
};

/// The sizes of a GatedLinearAttention. Throws ShapeError in its constructor when heads are no multiple of kv_heads.
struct GlaSizes {
  Index model = 0;
  Index heads = 0;
  Index kv_heads = 0;
  Index key_dim = 0;    ///< of a head
  Index value_dim = 0;  ///< of a head
  Index gate_rank = 16;
  Index conv_width = 4;
};

/// S [batch, heads, key_dim, value_dim]; conv_q, conv_k, conv_v [batch, width - 1, channels], the last inputs of the
/// short convolutions; and the scratch of one step.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, bool ShortConv>
struct GlaState {
  using Conv = std::conditional_t<ShortConv, CausalConv1dState<S, Dynamic, Dynamic>, NoState>;
  MatrixState<S, Heads, KeyDim, ValueDim> attention;
  Conv q, k, v;
  Scratch<S> scratch;

  static constexpr auto fields() {
    if constexpr (ShortConv) {
      return std::tuple{Field{"", &GlaState::attention},
                        Field{"conv_q", [](auto& state) -> auto& { return state.q.conv; }},
                        Field{"conv_k", [](auto& state) -> auto& { return state.k.conv; }},
                        Field{"conv_v", [](auto& state) -> auto& { return state.v.conv; }}};
    } else {
      return std::tuple{Field{"", &GlaState::attention}};
    }
  }
};

namespace detail {

/// What lies between the parts of a GatedLinearAttention, for some tokens; make(features) gives room for one of them.
template <Scalar S>
struct GlaTokens {
  SequenceView<S> q, k, v;         ///< before the short convolutions
  SequenceView<S> keys, values;    ///< of the shared heads
  SequenceView<S> low, gates, decays;
  SequenceView<S> x;               ///< [q | k | v | g] of all heads
  SequenceView<S> o, gate, normed;

  template <class Make>
  GlaTokens(const GlaSizes& n, Make&& make)
      : q(make(n.heads * n.key_dim)),
        k(make(n.kv_heads * n.key_dim)),
        v(make(n.kv_heads * n.value_dim)),
        keys(make(n.kv_heads * n.key_dim)),
        values(make(n.kv_heads * n.value_dim)),
        low(make(n.gate_rank)),
        gates(make(n.kv_heads * n.key_dim)),
        decays(make(n.kv_heads * n.key_dim)),
        x(make(n.heads * (3 * n.key_dim + n.value_dim))),
        o(make(n.heads * n.value_dim)),
        gate(make(n.heads * n.value_dim)),
        normed(make(n.heads * n.value_dim)) {}

  [[nodiscard]] static Index features(const GlaSizes& n) noexcept {
    return 4 * n.kv_heads * n.key_dim + 2 * n.kv_heads * n.value_dim + n.gate_rank +
           n.heads * (4 * n.key_dim + 4 * n.value_dim);
  }
};

/// All tokens of a sequence whose members follow each other, as rows.
template <class T>
[[nodiscard]] MatrixView<T> token_rows(const SequenceView<T>& x) noexcept {
  return {x.data, x.batch * x.time, Index{x.features}, x.time_stride};
}

/// Which part of the layer runs.
enum class GlaPart : std::size_t { q, k, v, conv_q, conv_k, conv_v, low, gates, attention, gate, o, count };
template <GlaPart P>
using GlaPartConstant = std::integral_constant<GlaPart, P>;

}  // namespace detail

/// What a GatedLinearAttention and its plan share. Self has the members of the layer, as layers or as plans.
template <class Self, Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Math,
          class Default>
class GlaLayer : public Layer<Self, S, Model, Model> {
 public:
  using State = GlaState<S, Heads, KeyDim, ValueDim, Options.short_conv>;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;
  using DefaultForm = Default;
  template <class Form>
  static constexpr Index block_tokens =
      detail::FormBlock<std::conditional_t<std::same_as<Form, OwnForm>, Default, Form>>::tokens;

  [[nodiscard]] Index input_size() const noexcept { return self().q_proj.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return self().o_proj.output_size(); }

  /// All zero.
  [[nodiscard]] State initial_state(Index batch) const {
    State state;
    state.attention = self().attention.initial_state(batch);
    if constexpr (Options.short_conv) {
      state.q = self().q_conv1d.initial_state(batch);
      state.k = self().k_conv1d.initial_state(batch);
      state.v = self().v_conv1d.initial_state(batch);
    }
    state.scratch = Scratch<S>(batch * detail::GlaTokens<S>::features(sizes()));
    return state;
  }

  [[nodiscard]] GlaSizes sizes() const noexcept {
    const auto& scan = self().attention;
    return {input_size(),     scan.heads(),     self().k_proj.output_size() / std::max<Index>(scan.key_dim(), 1),
            scan.key_dim(),   scan.value_dim(), std::get<0>(self().gk_proj).output_size(), 0};
  }

  /// The RMS norm of every head.
  [[nodiscard]] Norm<S> norm() const noexcept {
    return {self().attention.heads(), self().eps, self().g_norm.data(), nullptr, true};
  }

  /// The layer's equations; run(part, layer, state, in, out) runs one layer of it.
  template <class Run>
  void run_parts(const detail::GlaTokens<S>& m, State& state, const SequenceView<const S>& x, const SequenceView<S>& y,
                 Run&& run) const {
    using enum detail::GlaPart;
    using detail::GlaPartConstant;
    using detail::token_rows;
    const auto& scan = self().attention;
    NoState none;
    if constexpr (Options.short_conv) {
      run(GlaPartConstant<q>{}, self().q_proj, none, x, m.q);
      run(GlaPartConstant<k>{}, self().k_proj, none, x, m.k);
      run(GlaPartConstant<v>{}, self().v_proj, none, x, m.v);
      run(GlaPartConstant<conv_q>{}, self().q_conv1d, state.q, m.q, scan.queries(m.x));
      run(GlaPartConstant<conv_k>{}, self().k_conv1d, state.k, m.k, m.keys);
      run(GlaPartConstant<conv_v>{}, self().v_conv1d, state.v, m.v, m.values);
    } else {
      run(GlaPartConstant<q>{}, self().q_proj, none, x, scan.queries(m.x));
      run(GlaPartConstant<k>{}, self().k_proj, none, x, m.keys);
      run(GlaPartConstant<v>{}, self().v_proj, none, x, m.values);
    }
    run(GlaPartConstant<low>{}, std::get<0>(self().gk_proj), none, x, m.low);
    run(GlaPartConstant<gates>{}, std::get<1>(self().gk_proj), none, m.low, m.gates);
    log_gate<Math, S>(self().log_gate, token_rows(m.gates), token_rows(m.decays));
    repeat_heads<S>(token_rows(m.keys), scan.key_dim(), token_rows(scan.keys(m.x)));
    repeat_heads<S>(token_rows(m.values), scan.value_dim(), token_rows(scan.values(m.x)));
    repeat_heads<S>(token_rows(m.decays), scan.key_dim(), token_rows(scan.gates(m.x)));
    run(GlaPartConstant<attention>{}, scan, state.attention, m.x, m.o);
    if constexpr (Options.output_gate) {
      run(GlaPartConstant<gate>{}, self().g_proj, none, x, m.gate);
      normalize_gated<Centre::zero, SiluActivation, Math, S>(norm(), token_rows(m.o), token_rows(m.gate),
                                                             token_rows(m.normed));
    } else {
      normalize<Centre::zero, S>(norm(), token_rows(m.o), token_rows(m.normed));
    }
    run(GlaPartConstant<o>{}, self().o_proj, none, m.normed, y);
  }

 protected:
  GlaLayer() = default;

 private:
  friend Layer<Self, S, Model, Model>;

  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  void run_step(State& state, MatrixView<const S, Dynamic, Model> x, MatrixView<S, Dynamic, Model> y) const noexcept {
    S* next = state.scratch.data();
    const detail::GlaTokens<S> m(sizes(), [&](Index features) {
      S* data = next;
      next += x.rows * features;
      return SequenceView<S>(data, Index{x.rows}, 1, features);
    });
    SequenceView<const S> in(x.data, Index{x.rows}, 1, Index{x.cols});
    SequenceView<S> out(y.data, Index{y.rows}, 1, Index{y.cols});
    in.batch_stride = x.stride;
    out.batch_stride = y.stride;
    run_parts(m, state, in, out, [](auto, const auto& layer, auto& own, const auto& from, const auto& to) {
      layer.step(own, from.frame(0), to.frame(0));
    });
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Model> x, SequenceView<S, Model> y,
                Workspace& workspace) const {
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(block_tokens<Form>, x.time);
    for (Index start = 0; start < x.time; start += tokens) {
      const Workspace::Scope block(workspace);
      const Index count = std::min(tokens, x.time - start);
      const SequenceView<const S> in = x.slice(start, count);
      const detail::GlaTokens<S> m(sizes(), [&](Index features) {
        return workspace.template sequence<S>(in, Extent<Dynamic>(features));
      });
      run_parts(m, state, in, y.slice(start, count),
                [&](auto, const auto& layer, auto& own, const auto& from, const auto& to) {
                  layer.scan(own, from, to, workspace, form);
                });
    }
  }
};

/// Ready for inference: the plans of its parts.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Math,
          class Default, class In, class Gates, class Out, class Conv>
class GlaPlan : public GlaLayer<GlaPlan<S, Model, Heads, KeyDim, ValueDim, Options, Math, Default, In, Gates, Out, Conv>,
                                S, Model, Heads, KeyDim, ValueDim, Options, Math, Default> {
 public:
  static constexpr const char* name = "GlaPlan";

  In q_proj, k_proj, v_proj;
  Conv q_conv1d, k_conv1d, v_conv1d;
  std::tuple<In, Gates> gk_proj;
  In g_proj;
  Tensor<S, ValueDim> g_norm;
  Out o_proj;
  GatedLinearAttentionScan<S, Heads, KeyDim, ValueDim, Default> attention;
  LogGate<S> log_gate;
  S eps;

  template <class L, class Plan>
  GlaPlan(const L& layer, Plan&& plan)
      : q_proj(plan(layer.q_proj)),
        k_proj(plan(layer.k_proj)),
        v_proj(plan(layer.v_proj)),
        q_conv1d(plan(layer.q_conv1d)),
        k_conv1d(plan(layer.k_conv1d)),
        v_conv1d(plan(layer.v_conv1d)),
        gk_proj(plan(std::get<0>(layer.gk_proj)), plan(std::get<1>(layer.gk_proj))),
        g_proj(plan(layer.g_proj)),
        g_norm(layer.g_norm),
        o_proj(plan(layer.o_proj)),
        attention(layer.attention),
        log_gate(layer.log_gate),
        eps(layer.eps) {}
};

/// The gated linear attention layer (Yang et al., arXiv 2312.06635, section 4.4):
///   q, k, v = W x (and a short causal convolution with silu)
///   g = max(lowest, logsigmoid(W_1 W_0 x + b) / tau)
///   o = GLA(q, k, v, g),   y = W_o (RMSNorm per head(o) * silu(W_g x))
/// Query head h reads key, value and decay head h div (heads / kv_heads). Parameters are named as in the authors' code.
/// x and y [batch, time, Model].
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options = {},
          class Default = Chunked<>>
class GatedLinearAttention
    : public GlaLayer<GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>, S, Model, Heads, KeyDim,
                      ValueDim, Options, Exact, Default> {
  using In = Linear<S, Model, Dynamic, false>;
  using Gates = Linear<S, Dynamic, Dynamic>;
  using Out = Linear<S, Dynamic, Model, false>;
  using Conv = std::conditional_t<Options.short_conv, CausalConv1d<S, Dynamic, Dynamic, false>, detail::NoParameter>;

 public:
  static constexpr const char* name = "GatedLinearAttention";
  static constexpr GlaOptions options = Options;

  In q_proj, k_proj, v_proj;
  Conv q_conv1d, k_conv1d, v_conv1d;
  std::tuple<In, Gates> gk_proj;
  In g_proj;
  Tensor<S, ValueDim> g_norm;
  Out o_proj;
  GatedLinearAttentionScan<S, Heads, KeyDim, ValueDim, Default> attention;
  LogGate<S> log_gate;
  S eps = static_cast<S>(1e-5);

  static constexpr auto fields() {
    using L = GatedLinearAttention;
    const auto projections = std::tuple{Field{"q_proj", &L::q_proj}, Field{"k_proj", &L::k_proj},
                                        Field{"v_proj", &L::v_proj}, Field{"gk_proj", &L::gk_proj},
                                        Field{"o_proj", &L::o_proj}};
    const auto convolutions = [] {
      if constexpr (Options.short_conv) {
        return std::tuple{Field{"q_conv1d", &L::q_conv1d}, Field{"k_conv1d", &L::k_conv1d},
                          Field{"v_conv1d", &L::v_conv1d}};
      } else {
        return std::tuple<>{};
      }
    }();
    const auto output = [] {
      if constexpr (Options.output_gate) {
        return std::tuple{Field{"g_proj", &L::g_proj}, Field{"g_norm_swish_gate.weight", &L::g_norm}};
      } else {
        return std::tuple{Field{"g_norm.weight", &L::g_norm}};
      }
    }();
    return std::tuple_cat(projections, convolutions, output);
  }

  /// All parameters zero.
  explicit GatedLinearAttention(const GlaSizes& n)
      : q_proj(n.model, n.heads * n.key_dim),
        k_proj(n.model, n.kv_heads * n.key_dim),
        v_proj(n.model, n.kv_heads * n.value_dim),
        q_conv1d(convolution(n.heads * n.key_dim, n.conv_width)),
        k_conv1d(convolution(n.kv_heads * n.key_dim, n.conv_width)),
        v_conv1d(convolution(n.kv_heads * n.value_dim, n.conv_width)),
        gk_proj(In(n.model, n.gate_rank), Gates(n.gate_rank, n.kv_heads * n.key_dim)),
        g_proj(n.model, Options.output_gate ? n.heads * n.value_dim : 0),
        g_norm(n.value_dim),
        o_proj(n.heads * n.value_dim, n.model),
        attention(n.heads, n.key_dim, n.value_dim) {
    if (n.kv_heads <= 0 || n.heads % n.kv_heads != 0) {
      fail<ShapeError>("GatedLinearAttention: expected heads that are a multiple of kv_heads, found " +
                       std::to_string(n.heads) + " and " + std::to_string(n.kv_heads));
    }
  }

  /// Projections Xavier-uniform with gain 2^-2.5, as the authors' training code; gate biases zero; norms one.
  void initialize(Random& random) {
    const auto xavier = [&](auto& linear) {
      const Index sum = linear.input_size() + linear.output_size();
      const double bound = std::exp2(-2.5) * std::sqrt(6.0 / static_cast<double>(std::max<Index>(sum, 1)));
      for (S& value : linear.weight) value = static_cast<S>(random.uniform(-bound, bound));
    };
    xavier(q_proj), xavier(k_proj), xavier(v_proj);
    xavier(std::get<0>(gk_proj)), xavier(std::get<1>(gk_proj));
    std::get<1>(gk_proj).bias.fill(S{0});
    xavier(g_proj), xavier(o_proj);
    g_norm.fill(S{1});
    if constexpr (Options.short_conv) {
      q_conv1d.initialize(random);
      k_conv1d.initialize(random);
      v_conv1d.initialize(random);
    }
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    const auto plan_of = [](const auto& part) {
      if constexpr (requires { part.template plan<Stored, Math>(); }) {
        return part.template plan<Stored, Math>();
      } else {
        return part;
      }
    };
    return GlaPlan<S, Model, Heads, KeyDim, ValueDim, Options, Chosen, Default, decltype(plan_of(q_proj)),
                   decltype(plan_of(std::get<1>(gk_proj))), decltype(plan_of(o_proj)), decltype(plan_of(q_conv1d))>(
        *this, plan_of);
  }

 private:
  static Conv convolution([[maybe_unused]] Index channels, [[maybe_unused]] Index width) {
    if constexpr (Options.short_conv) {
      return Conv(channels, width);
    } else {
      return {};
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
