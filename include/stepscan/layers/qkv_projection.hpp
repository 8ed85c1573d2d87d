#pragma once

#include <stepscan/layers/linear.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Queries, keys and values of the same tokens, side by side: y = [q_proj(x) | k_proj(x) | v_proj(x)]. Q, K and V are
/// layers or plans that have no state.
template <SequenceLayer Q, SequenceLayer K, SequenceLayer V>
class QkvProjection
    : public StatelessLayer<QkvProjection<Q, K, V>, typename Q::scalar_type, Q::static_inputs,
                            static_sum(Q::static_outputs, static_sum(K::static_outputs, V::static_outputs))> {
  using S = typename Q::scalar_type;
  static constexpr Index Inputs = Q::static_inputs;
  static constexpr Index Outputs = static_sum(Q::static_outputs, static_sum(K::static_outputs, V::static_outputs));

 public:
  static constexpr const char* name = "QkvProjection";
  using Forms = std::tuple<Recurrent, Chunked<>>;
  using DefaultForm = Chunked<>;

  Q q_proj;
  K k_proj;
  V v_proj;

  static constexpr auto fields() requires(Trees<Q, K, V>) {
    return std::tuple{Field{"q_proj", &QkvProjection::q_proj}, Field{"k_proj", &QkvProjection::k_proj},
                      Field{"v_proj", &QkvProjection::v_proj}};
  }

  QkvProjection() = default;
  QkvProjection(Q q, K k, V v) : q_proj(std::move(q)), k_proj(std::move(k)), v_proj(std::move(v)) {}

  void initialize(Random& random) {
    q_proj.initialize(random);
    k_proj.initialize(random);
    v_proj.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return q_proj.input_size(); }
  [[nodiscard]] Index output_size() const noexcept {
    return q_proj.output_size() + k_proj.output_size() + v_proj.output_size();
  }

  /// A QkvProjection of the layers' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return of(q_proj.template plan<Stored, Math>(), k_proj.template plan<Stored, Math>(),
              v_proj.template plan<Stored, Math>());
  }

  /// Calls f(member, first output feature, output features) for the three projections.
  template <class F>
  void for_each_projection(F&& f) const {
    const Index q = q_proj.output_size(), k = k_proj.output_size();
    f(&QkvProjection::q_proj, Index{0}, q);
    f(&QkvProjection::k_proj, q, k);
    f(&QkvProjection::v_proj, q + k, v_proj.output_size());
  }

 private:
  friend Layer<QkvProjection, S, Inputs, Outputs>;

  template <class Q2, class K2, class V2>
  static QkvProjection<Q2, K2, V2> of(Q2 q, K2 k, V2 v) {
    return {std::move(q), std::move(k), std::move(v)};
  }

  void run_step(NoState& none, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    for_each_projection(
        [&](auto which, Index first, Index count) { (this->*which).step(none, x, y.middle_cols(first, count)); });
  }

  template <class Form>
  void run_scan(const Form& form, NoState& none, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    for_each_projection([&](auto which, Index first, Index count) {
      (this->*which).scan(none, x, y.middle_features(first, Extent<Dynamic>(count)), workspace, form);
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
