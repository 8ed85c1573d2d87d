#pragma once

#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/qkv_projection.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the projections' tapes; their cotangents of x add up.
template <class Q, class K, class V>
struct Training<QkvProjection<Q, K, V>> {
  using L = QkvProjection<Q, K, V>;
  using S = typename L::scalar_type;

  struct Tape {
    SequenceView<const S> x;
    typename Training<Q>::Tape q;
    typename Training<K>::Tape k;
    typename Training<V>::Tape v;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& none, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    const Index q = layer.q_proj.output_size(), k = layer.k_proj.output_size(), v = layer.v_proj.output_size();
    layer.q_proj.forward(none, x, y.middle_features(0, Extent<Dynamic>(q)), tape.q, form);
    layer.k_proj.forward(none, x, y.middle_features(q, Extent<Dynamic>(k)), tape.k, form);
    layer.v_proj.forward(none, x, y.middle_features(q + k, Extent<Dynamic>(v)), tape.v, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const NoState& none,
                       L& gradient, SequenceView<S, L::static_inputs> dx, NoState& start) {
    const Workspace::Scope scope(tape.workspace);
    const SequenceView<S> more = tape.workspace.template sequence<S>(tape.x, tape.x.features);
    const Index q = layer.q_proj.output_size(), k = layer.k_proj.output_size(), v = layer.v_proj.output_size();
    layer.q_proj.backward(tape.q, dy.middle_features(0, Extent<Dynamic>(q)), none, gradient.q_proj, dx, start);
    layer.k_proj.backward(tape.k, dy.middle_features(q, Extent<Dynamic>(k)), none, gradient.k_proj, more, start);
    add_tokens<S>(more, dx);
    layer.v_proj.backward(tape.v, dy.middle_features(q + k, Extent<Dynamic>(v)), none, gradient.v_proj, more, start);
    add_tokens<S>(more, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
