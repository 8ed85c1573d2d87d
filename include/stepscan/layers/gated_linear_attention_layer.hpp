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
    SequenceView<const S, Model> in(x.data, x.rows, 1, x.cols);
    SequenceView<S, Model> out(y.data, y.rows, 1, y.cols);
    in.batch_stride = x.stride;
    out.batch_stride = y.stride;
    NoTapes tapes;
    run_equations(
        m, state, tapes, in, out,
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
      const Tokens m(this->sizes, [&](Index features) {
        return workspace.template sequence<S>(in, Extent<Dynamic>(features));
      });
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

/// A GatedLinearAttention ready for inference: the plans of its parts.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options, class Math,
          class Default, class Parts>
class GlaPlan : public GlaLayer<GlaPlan<S, Model, Heads, KeyDim, ValueDim, Options, Math, Default, Parts>, S, Model,
                                Heads, KeyDim, ValueDim, Options, Math, Default>,
                public Parts {
 public:
  static constexpr const char* name = "GlaPlan";

  GlaPlan(const GlaSettings<S, ValueDim>& settings, Parts parts)
      : GlaPlan::GlaLayer(settings), Parts(std::move(parts)) {}
};

namespace detail {

template <Scalar S, Index Model, GlaOptions Options>
using GlaLayers = GlaParts<Linear<S, Model, Dynamic, false>,
                           std::conditional_t<Options.short_conv, CausalConv1d<S, Dynamic, Dynamic, false>, NoParameter>,
                           Linear<S, Dynamic, Dynamic>,
                           std::conditional_t<Options.output_gate, Linear<S, Model, Dynamic, false>, NoParameter>,
                           Linear<S, Dynamic, Model, false>>;

}  // namespace detail

/// The gated linear attention layer (arXiv 2312.06635, section 4.4):
///   q, k, v = W x, each behind a short causal convolution with silu if asked for
///   g = max(lowest, logsigmoid(W_1 W_0 x + b) / tau)
///   S_t = diag(exp(g_t)) S_(t-1) + k_t v_t^T,   o_t = scale q_t^T S_t        of every head
///   y = W_o (RMSNorm(o) * silu(W_g x)),   the norm by itself for every head
/// x, y [batch, time, Model]. Query head h reads key, value and decay head h div (Heads / kv_heads). Parameters, named
/// as in the authors' code: q_proj [Heads * KeyDim, Model], k_proj [kv_heads * KeyDim, Model], v_proj [kv_heads *
/// ValueDim, Model], gk_proj.0 [gate_rank, Model], gk_proj.1 [kv_heads * KeyDim, gate_rank] with bias, g_proj [Heads *
/// ValueDim, Model], g_norm_swish_gate (g_norm without output gate) [ValueDim], o_proj [Model, Heads * ValueDim], and
/// {q,k,v}_conv1d [channels, conv_width]. State S [batch, Heads, KeyDim, ValueDim] and the pasts of the convolutions.
template <Scalar S, Index Model, Index Heads, Index KeyDim, Index ValueDim, GlaOptions Options = GlaOptions{},
          class Default = Chunked<>>
class GatedLinearAttention
    : public GlaLayer<GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>, S, Model, Heads,
                      KeyDim, ValueDim, Options, Exact, Default>,
      public detail::GlaLayers<S, Model, Options> {
 public:
  static constexpr const char* name = "GatedLinearAttention";
  using Parts = detail::GlaLayers<S, Model, Options>;

  static constexpr auto fields() {
    using L = GatedLinearAttention;
    const auto projections =
        std::tuple{Field{"q_proj", &L::q_proj}, Field{"k_proj", &L::k_proj}, Field{"v_proj", &L::v_proj},
                   Field{"gk_proj", &L::gk_proj}, Field{"o_proj", &L::o_proj}};
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

  /// All parameters zero. Throws ShapeError when kv_heads does not divide heads, a size is negative or differs from a
  /// static one.
  explicit GatedLinearAttention(const GlaSizes& n)
      : GatedLinearAttention::GlaLayer({checked(n), Tensor<S, ValueDim>(n.value_dim),
                                        static_cast<S>(1 / std::sqrt(static_cast<double>(n.key_dim)))}),
        Parts{{n.model, n.heads * n.key_dim},
              {n.model, n.kv_heads * n.key_dim},
              {n.model, n.kv_heads * n.value_dim},
              convolution(n.heads * n.key_dim, n.conv_width),
              convolution(n.kv_heads * n.key_dim, n.conv_width),
              convolution(n.kv_heads * n.value_dim, n.conv_width),
              {Linear<S, Model, Dynamic, false>(n.model, n.gate_rank),
               Linear<S, Dynamic, Dynamic>(n.gate_rank, n.kv_heads * n.key_dim)},
              output_gate(n),
              {n.heads * n.value_dim, n.model}} {}

  /// As the authors' training code: projections Xavier-uniform with a gain of 2^-2.5, the bias zero, the norm one.
  void initialize(Random& random) {
    const auto xavier = [&](auto& linear) {
      const double fans = static_cast<double>(linear.input_size() + linear.output_size());
      const double bound = std::exp2(-2.5) * std::sqrt(6 / fans);
      for (S& value : linear.weight) value = static_cast<S>(random.uniform(-bound, bound));
    };
    xavier(this->q_proj);
    xavier(this->k_proj);
    xavier(this->v_proj);
    xavier(std::get<0>(this->gk_proj));
    xavier(std::get<1>(this->gk_proj));
    std::get<1>(this->gk_proj).bias.fill(S{0});
    xavier(this->o_proj);
    if constexpr (Options.short_conv) {
      this->q_conv1d.initialize(random);
      this->k_conv1d.initialize(random);
      this->v_conv1d.initialize(random);
    }
    if constexpr (Options.output_gate) xavier(this->g_proj);
    this->g_norm.fill(S{1});
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    const auto of = [](const auto& part) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(part)>, detail::NoParameter>) {
        return part;
      } else {
        return part.template plan<Stored, Math>();
      }
    };
    GlaParts parts{of(this->q_proj),   of(this->k_proj),   of(this->v_proj),
                   of(this->q_conv1d), of(this->k_conv1d), of(this->v_conv1d),
                   std::tuple(of(std::get<0>(this->gk_proj)), of(std::get<1>(this->gk_proj))),
                   of(this->g_proj),   of(this->o_proj)};
    return GlaPlan<S, Model, Heads, KeyDim, ValueDim, Options, Chosen, Default, decltype(parts)>(*this,
                                                                                                 std::move(parts));
  }

 private:
  static const GlaSizes& checked(const GlaSizes& n) {
    static_cast<void>(std::tuple(Extent<Heads>(n.heads), Extent<KeyDim>(n.key_dim)));
    const auto require = [](bool fits, const char* what, Index first, Index second) {
      if (!fits) {
        fail<ShapeError>(std::string(name) + ": expected " + what + ", found " + std::to_string(first) + " and " +
                         std::to_string(second));
      }
    };
    require(n.heads >= 1 && n.kv_heads >= 1 && n.heads % n.kv_heads == 0, "heads that are a multiple of kv_heads",
            n.heads, n.kv_heads);
    require(n.key_dim >= 1 && n.value_dim >= 1, "a positive key_dim and value_dim", n.key_dim, n.value_dim);
    require(n.model >= 1 && n.gate_rank >= 1, "a positive model and gate_rank", n.model, n.gate_rank);
    return n;
  }
  static auto convolution([[maybe_unused]] Index channels, [[maybe_unused]] Index width) {
    if constexpr (Options.short_conv) {
      return decltype(Parts::q_conv1d)(channels, width);
    } else {
      return detail::NoParameter{};
    }
  }
  static auto output_gate([[maybe_unused]] const GlaSizes& n) {
    if constexpr (Options.output_gate) {
      return decltype(Parts::g_proj)(n.model, n.heads * n.value_dim);
    } else {
      return detail::NoParameter{};
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
