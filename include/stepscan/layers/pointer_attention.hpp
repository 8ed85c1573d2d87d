#pragma once

#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/ops/linear.hpp>
#include <stepscan/ops/pointer_attention.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The attention of Pointer Networks (arXiv 1506.03134, equation 3): queries d_i point at items e_j,
///   u_ij = sum_a v_a tanh((w1 e_j)_a + (w2 d_i)_a),   logit_clip tanh(u_ij) instead where logit_clip > 0,
///   probs_i = softmax over the allowed j of u_ij,   context_i = sum_j probs_ij e_j.
/// Parameters w1 [attention_features, memory_features], w2 [attention_features, query_features], v
/// [attention_features]. It has two inputs, so it is no SequenceLayer: `remember` projects the items once, and `point`
/// takes any number of queries, one or a whole sequence.
template <Scalar S>
class PointerAttention {
 public:
  using scalar_type = S;
  static constexpr const char* name = "PointerAttention";

  Tensor<S, Dynamic, Dynamic> w1;
  Tensor<S, Dynamic, Dynamic> w2;
  Tensor<S, Dynamic> v;
  S logit_clip{0};

  static constexpr auto fields() {
    return std::tuple{Field{"w1", &PointerAttention::w1}, Field{"w2", &PointerAttention::w2},
                      Field{"v", &PointerAttention::v}};
  }

  PointerAttention() = default;
  PointerAttention(Index memory_features, Index query_features, Index attention_features)
      : w1(attention_features, memory_features), w2(attention_features, query_features), v(attention_features) {}

  /// Uniform in +-0.08, as in the paper.
  void initialize(Random& random) {
    for_each_tensor(
        [&](const Path&, auto& tensor) {
          for (S& value : tensor) value = static_cast<S>(random.uniform(-0.08, 0.08));
        },
        *this);
  }

  [[nodiscard]] PointerScores<S> scores() const noexcept { return {v.data(), logit_clip}; }

  /// The items' projections [batch, attention_features, items], from items [batch, items, memory_features].
  [[nodiscard]] Tensor<S, Dynamic, Dynamic, Dynamic> remember(SequenceView<const S> items) const {
    require("items", w1.extent(1), items.features);
    Tensor<S, Dynamic, Dynamic, Dynamic> projected(items.batch, v.size(), items.time);
    for (Index b = 0; b < items.batch; ++b) {
      for (Index a = 0; a < v.size(); ++a) {
        const S* const row = w1.data() + a * w1.extent(1);
        for (Index j = 0; j < items.time; ++j) projected(b, a, j) = dot<S>(row, items.token(b, j), items.features);
      }
    }
    return projected;
  }

  /// Points with queries [batch, queries, query_features] at remembered items. Throws ShapeError when sizes do not fit.
  void point(const Tensor<S, Dynamic, Dynamic, Dynamic>& projected, SequenceView<const S> items,
             SequenceView<const S> queries, const PointerMask& mask, const PointerResults<S>& results,
             Workspace& workspace) const {
    require("queries", w2.extent(1), queries.features);
    require("log_probs", items.time, results.log_probs.features);
    require("probs", items.time, results.probs.features);
    if (results.context.data != nullptr) require("context", items.features, results.context.features);
    const Workspace::Scope scope(workspace);
    pointer_attention<S>(scores(), {projected, items}, project(queries, workspace), mask, results, workspace);
  }

  /// w2 d of every query.
  [[nodiscard]] SequenceView<S> project(SequenceView<const S> queries, Workspace& workspace) const {
    const SequenceView<S> projected = workspace.template sequence<S>(queries, Extent<Dynamic>(v.size()));
    for (Index b = 0; b < queries.batch; ++b) plain_linear<S>(w2, nullptr, queries.member(b), projected.member(b));
    return projected;
  }

 private:
  static void require(const char* what, Index expected, Index found) {
    if (expected != found) {
      fail<ShapeError>(std::string(name) + ": expected " + what + " of " + std::to_string(expected) +
                       " features, found " + std::to_string(found));
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
