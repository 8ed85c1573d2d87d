#pragma once

#include <cmath>
#include <stepscan/layers/gla_layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

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
using GlaLayers =
    GlaParts<Linear<S, Model, Dynamic, false>,
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
class GatedLinearAttention : public GlaLayer<GatedLinearAttention<S, Model, Heads, KeyDim, ValueDim, Options, Default>,
                                             S, Model, Heads, KeyDim, ValueDim, Options, Exact, Default>,
                             public detail::GlaLayers<S, Model, Options> {
 public:
  static constexpr const char* name = "GatedLinearAttention";
  using Parts = detail::GlaLayers<S, Model, Options>;

  static constexpr auto fields() {
    using L = GatedLinearAttention;
    return std::tuple{Field{"q_proj", &L::q_proj},
                      Field{"k_proj", &L::k_proj},
                      Field{"v_proj", &L::v_proj},
                      Field{"gk_proj", &L::gk_proj},
                      Field{"o_proj", &L::o_proj},
                      Field{"q_conv1d", &L::q_conv1d},
                      Field{"k_conv1d", &L::k_conv1d},
                      Field{"v_conv1d", &L::v_conv1d},
                      Field{"g_proj", &L::g_proj},
                      Field{Options.output_gate ? "g_norm_swish_gate.weight" : "g_norm.weight", &L::g_norm}};
  }

  /// All parameters zero. Throws ShapeError when kv_heads does not divide heads, a size is negative or differs from a
  /// static one.
  explicit GatedLinearAttention(const GlaSizes& n)
      : GatedLinearAttention::GlaLayer({checked(n), Tensor<S, ValueDim>(n.value_dim),
                                        static_cast<S>(1 / std::sqrt(static_cast<double>(n.key_dim)))}),
        Parts{{n.model, n.heads * n.key_dim},
              {n.model, n.kv_heads * n.key_dim},
              {n.model, n.kv_heads * n.value_dim},
              {n.heads * n.key_dim, n.conv_width},
              {n.kv_heads * n.key_dim, n.conv_width},
              {n.kv_heads * n.value_dim, n.conv_width},
              {Linear<S, Model, Dynamic, false>(n.model, n.gate_rank),
               Linear<S, Dynamic, Dynamic>(n.gate_rank, n.kv_heads * n.key_dim)},
              {n.model, n.heads * n.value_dim},
              {n.heads * n.value_dim, n.model}} {}

  /// As the authors' training code: projections Xavier-uniform with a gain of 2^-2.5, the bias zero, the norm one.
  void initialize(Random& random) {
    const auto xavier = [&](auto& linear) {
      detail::fill_xavier<S>(linear.weight, std::exp2(-2.5), random);
    };
    xavier(this->q_proj);
    xavier(this->k_proj);
    xavier(this->v_proj);
    xavier(std::get<0>(this->gk_proj));
    xavier(std::get<1>(this->gk_proj));
    std::get<1>(this->gk_proj).bias.fill(S{0});
    xavier(this->o_proj);
    this->q_conv1d.initialize(random);
    this->k_conv1d.initialize(random);
    this->v_conv1d.initialize(random);
    if constexpr (Options.output_gate) xavier(this->g_proj);
    this->g_norm.fill(S{1});
  }

  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Chosen = std::conditional_t<std::is_void_v<Math>, Exact, Math>;
    const auto of = [](const auto& part) { return part.template plan<Stored, Math>(); };
    GlaParts parts{of(this->q_proj),
                   of(this->k_proj),
                   of(this->v_proj),
                   of(this->q_conv1d),
                   of(this->k_conv1d),
                   of(this->v_conv1d),
                   std::tuple(of(std::get<0>(this->gk_proj)), of(std::get<1>(this->gk_proj))),
                   of(this->g_proj),
                   of(this->o_proj)};
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
};

}  // namespace stepscan::inline STEPSCAN_ISA
