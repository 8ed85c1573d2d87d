#pragma once

#include <stepscan/layers/attention_layer.hpp>
#include <stepscan/layers/rms_norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The queries and keys of every head divided by their root mean square, so that logits stay bounded (query-key
/// normalisation, arXiv 2010.04245, with the RMSNorm of Qwen3 and Gemma 3): of x = [q | k | v], head after head,
///   q_h -> q_norm * q_h / sqrt(mean(q_h^2) + eps),   k_g -> k_norm * k_g / sqrt(mean(k_g^2) + eps)
/// q_norm.weight and k_norm.weight [KeyDim], the same for every head. Runs in any form.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim>
class QueryKeyNorm : public RowwiseLayer<QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>, S,
                                         detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim),
                                         detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim)> {
  static constexpr Index Features = detail::attention_inputs(Heads, KvHeads, KeyDim, ValueDim);

 public:
  static constexpr const char* name = "QueryKeyNorm";

  RmsNorm<S, KeyDim> q_norm;
  RmsNorm<S, KeyDim> k_norm;

  static constexpr auto fields() {
    return std::tuple{Field{"q_norm", &QueryKeyNorm::q_norm}, Field{"k_norm", &QueryKeyNorm::k_norm}};
  }

  QueryKeyNorm() requires(Features != Dynamic) : QueryKeyNorm(AttentionSizes{Heads, KvHeads, KeyDim, ValueDim}) {}
  explicit QueryKeyNorm(const AttentionSizes& sizes) : q_norm(sizes.key_dim), k_norm(sizes.key_dim), sizes_(sizes) {}

  void initialize(Random& random) noexcept {
    q_norm.initialize(random);
    k_norm.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept {
    return detail::attention_inputs(sizes_.heads, sizes_.kv_heads, sizes_.key_dim, sizes_.value_dim);
  }
  [[nodiscard]] Index output_size() const noexcept { return input_size(); }

  /// Calls f(norm layer, first feature, heads) for queries and keys.
  template <class F>
  void for_each_norm(F&& f) const {
    f(&QueryKeyNorm::q_norm, Index{0}, sizes_.heads);
    f(&QueryKeyNorm::k_norm, sizes_.heads * sizes_.key_dim, sizes_.kv_heads);
  }
  /// The operator's view of one of them.
  [[nodiscard]] Norm<S> norm(RmsNorm<S, KeyDim> QueryKeyNorm::*which, Index heads) const noexcept {
    const RmsNorm<S, KeyDim>& own = this->*which;
    return {heads, own.eps, own.weight.data(), nullptr, true};
  }
  /// Where values begin.
  [[nodiscard]] Index first_value() const noexcept { return (sizes_.heads + sizes_.kv_heads) * sizes_.key_dim; }

 private:
  friend Layer<QueryKeyNorm, S, Features, Features>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Features> x, MatrixView<S, Dynamic, Features> y) const noexcept {
    for_each_norm([&](auto which, Index first, Index heads) {
      const Index count = heads * sizes_.key_dim;
      normalize<Centre::zero, S>(norm(which, heads), x.middle_cols(first, count), y.middle_cols(first, count));
    });
    for (Index r = 0; r < x.rows; ++r) std::copy(x.row(r) + first_value(), x.row(r) + x.cols, y.row(r) + first_value());
  }

  AttentionSizes sizes_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
