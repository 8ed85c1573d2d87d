#pragma once

#include <stepscan/layers/alibi_attention.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/multi_head_layer.hpp>
#include <stepscan/layers/qkv_projection.hpp>
#include <stepscan/layers/query_key_norm.hpp>
#include <stepscan/layers/rotary_embedding.hpp>
#include <stepscan/layers/softmax_attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How a MultiHeadAttention tells positions.
enum class Positions {
  none,    ///< not at all, but by what the past is
  rotary,  ///< queries and keys turn (ops/rotary.hpp)
  alibi,   ///< logits fall with the distance (ops/distance_bias.hpp)
};

/// What a MultiHeadAttention may have.
struct MultiHeadOptions {
  Positions positions = Positions::none;
  bool head_norm = false;    ///< q_norm and k_norm, before positions (QueryKeyNorm)
  bool input_bias = false;   ///< of q_proj, k_proj and v_proj
  bool output_bias = false;  ///< of o_proj
};

/// The sizes of a MultiHeadAttention. Those that its type fixes may be left out.
struct MultiHeadSizes {
  Index model = 0;
  Index heads = 0;
  Index kv_heads = 0;  ///< divides heads; 0: as many
  Index head_dim = 0;  ///< of queries, keys and values; 0: model / heads
  Index capacity = 0;  ///< tokens that are kept (AttentionLayer), sinks among them
  Index sinks = 0;
  RotarySettings rotary{};

  [[nodiscard]] constexpr AttentionSizes attention() const noexcept { return {heads, kv_heads, head_dim, head_dim}; }
};

namespace detail {

/// The features of a head where nobody gives them.
template <Index Model, Index Heads>
struct HeadDimOf {
  static_assert(Model == Dynamic || Heads == Dynamic || (Heads > 0 && Model % Heads == 0),
                "stepscan: the heads of a MultiHeadAttention do not divide its width; give it a HeadDim");
  static constexpr Index value = Model == Dynamic || Heads == Dynamic ? Dynamic : Model / std::max<Index>(Heads, 1);
};

/// The layers that a MultiHeadAttention is made of.
template <Scalar S, Index Model, Index Heads, Index KvHeads, Index HeadDim, MultiHeadOptions Options, class Default,
          class Stored>
struct MultiHeadParts {
  template <Index Count, bool WithBias>
  using In = Linear<S, Model, static_product(Count, HeadDim), WithBias>;
  using Qkv =
      QkvProjection<In<Heads, Options.input_bias>, In<KvHeads, Options.input_bias>, In<KvHeads, Options.input_bias>>;
  using Norm = QueryKeyNorm<S, Heads, KvHeads, HeadDim, HeadDim>;
  using Rotary = RotaryEmbedding<S, static_sum(Heads, KvHeads), HeadDim, static_product(KvHeads, HeadDim)>;
  template <bool Has, class L>
  using If = std::conditional_t<Has, std::tuple<L>, std::tuple<>>;
  using Between = decltype(std::tuple_cat(std::declval<If<Options.head_norm, Norm>>(),
                                          std::declval<If<Options.positions == Positions::rotary, Rotary>>()));
  using Attention = std::conditional_t<Options.positions == Positions::alibi,
                                       AlibiAttentionScan<S, Heads, KvHeads, HeadDim, HeadDim, Default, Stored>,
                                       SoftmaxAttentionScan<S, Heads, KvHeads, HeadDim, HeadDim, Default, Stored>>;
  using Out = Linear<S, static_product(Heads, HeadDim), Model, Options.output_bias>;
  template <class Self>
  using Layer = MultiHeadLayer<Self, Qkv, Between, Attention, Out>;
};

}  // namespace detail

/// Causal multi-head attention with its projections ("Attention is all you need", arXiv 1706.03762, section 3.2.2):
///   q, k, v = q_proj x, k_proj x, v_proj x,   split into heads, normalised and turned as the options say
///   y_t = o_proj concat_h sum_j softmax_j(q_th.k_jg / sqrt(HeadDim)) v_jg
/// over the tokens j that are kept: at most `capacity`, the first `sinks` of all and the latest ones, so that a small
/// capacity is a sliding window. x, y [batch, time, Model]. Query head h reads key/value head g = h div (Heads /
/// KvHeads): KvHeads = Heads is multi-head, 1 multi-query (arXiv 1911.02150), between them grouped-query attention
/// (arXiv 2305.13245). Parameters q_proj [Heads * HeadDim, Model], k_proj and v_proj [KvHeads * HeadDim, Model], o_proj
/// [Model, Heads * HeadDim], and q_norm and k_norm [HeadDim]; state k and v [batch, capacity, KvHeads, HeadDim] (keys
/// normalised and turned), length and position [batch]. Keys and values are kept as Stored, S or 16 bits
/// (AttentionLayer); such a layer is not trained. Its plan projects a token to the same bits in every form, so that all
/// forms keep the same numbers; the layer itself projects in some forms by packed weights, and a key or value that lies
/// on a tie may then be kept as either of two neighbours.
///   MultiHeadAttention<float, 512, 8, 2, 64, MultiHeadOptions{Positions::rotary}> layer({.capacity = 4096});
template <Scalar S, Index Model, Index Heads, Index KvHeads = Heads,
          Index HeadDim = detail::HeadDimOf<Model, Heads>::value, MultiHeadOptions Options = MultiHeadOptions{},
          class Default = Chunked<>, StoredFor<S> Stored = S>
class MultiHeadAttention
    : public detail::MultiHeadParts<S, Model, Heads, KvHeads, HeadDim, Options, Default, Stored>::template Layer<
          MultiHeadAttention<S, Model, Heads, KvHeads, HeadDim, Options, Default, Stored>> {
  using Types = detail::MultiHeadParts<S, Model, Heads, KvHeads, HeadDim, Options, Default, Stored>;
  using Base = typename Types::template Layer<MultiHeadAttention>;

 public:
  static constexpr const char* name = "MultiHeadAttention";

  static constexpr auto fields() {
    using L = MultiHeadAttention;
    const auto list = []<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple{Field{"", &L::qkv_proj}, Field{"", typename L::State::template Part<I>{}}...,
                        Field{"", &L::attention}, Field{"o_proj", &L::o_proj}};
    };
    return list(std::make_index_sequence<std::tuple_size_v<typename Types::Between>>{});
  }

  /// All parameters zero. Throws ShapeError when heads do not divide the model and there is no head_dim, kv_heads do
  /// not divide heads, the capacity is not above the sinks, or a size differs from a static one.
  explicit MultiHeadAttention(const MultiHeadSizes& sizes) : MultiHeadAttention(completed(sizes), 0) {}

  /// Each part as it initialises itself.
  void initialize(Random& random) {
    this->qkv_proj.initialize(random);
    std::apply([&](auto&... part) { (part.initialize(random), ...); }, this->between);
    this->o_proj.initialize(random);
  }

  template <class Weights = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return plan_of(this->qkv_proj.template plan<Weights, Math>(),
                   std::apply([](const auto&... part) { return std::tuple(part.template plan<Weights, Math>()...); },
                              this->between),
                   this->attention.template plan<Weights, Math>(), this->o_proj.template plan<Weights, Math>());
  }

 private:
  MultiHeadAttention(const MultiHeadSizes& n, int)
      : Base({{n.model, n.heads * n.head_dim}, {n.model, n.kv_heads * n.head_dim}, {n.model, n.kv_heads * n.head_dim}},
             between_of(n), {n.attention(), n.capacity, n.sinks}, {n.heads * n.head_dim, n.model}) {}

  /// The sizes with those that the type, or another size, says.
  static MultiHeadSizes completed(MultiHeadSizes n) {
    const auto fill = [](Index& size, Index fixed, Index otherwise) {
      if (size == 0) size = fixed != Dynamic ? fixed : otherwise;
    };
    fill(n.model, Model, 0);
    fill(n.heads, Heads, 0);
    fill(n.kv_heads, KvHeads, n.heads);
    if (n.head_dim == 0 && HeadDim == Dynamic && (n.heads < 1 || n.model % n.heads != 0)) {
      fail<ShapeError>(std::string(name) + ": expected a model that is a multiple of heads, or a head_dim, found " +
                       std::to_string(n.model) + " and " + std::to_string(n.heads));
    }
    fill(n.head_dim, HeadDim, n.heads < 1 ? 0 : n.model / n.heads);
    static_cast<void>(std::tuple(Extent<Model>(n.model), Extent<Heads>(n.heads), Extent<KvHeads>(n.kv_heads),
                                 Extent<HeadDim>(n.head_dim)));
    return n;
  }

  static typename Types::Between between_of([[maybe_unused]] const MultiHeadSizes& n) {
    const auto norm = [&] {
      if constexpr (Options.head_norm) {
        return std::tuple(typename Types::Norm(n.attention()));
      } else {
        return std::tuple<>{};
      }
    };
    const auto rotary = [&] {
      if constexpr (Options.positions == Positions::rotary) {
        return std::tuple(typename Types::Rotary(n.heads + n.kv_heads, n.head_dim, n.kv_heads * n.head_dim, n.rotary));
      } else {
        return std::tuple<>{};
      }
    };
    return std::tuple_cat(norm(), rotary());
  }

  template <class Qkv, class Between, class Attention, class Out>
  static MultiHeadPlan<Qkv, Between, Attention, Out> plan_of(Qkv before, Between middle, Attention scan, Out behind) {
    return {std::move(before), std::move(middle), std::move(scan), std::move(behind)};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
