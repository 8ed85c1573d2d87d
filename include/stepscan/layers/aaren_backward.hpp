#pragma once

#include <optional>
#include <stepscan/layers/aaren.hpp>
#include <stepscan/layers/projected_backward.hpp>
#include <stepscan/layers/softmax_scan_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Trains the layer that is left when the query is folded in, and takes its gradients apart: with those of
/// f_h = scale wk_h^T q_h and c_h = scale q_h.bk_h,
///   dq_i = scale (df_h.wk_i + dc_h bk_i),   dwk_i = scale q_i df_h,   dbk_i = scale q_i dc_h    (feature i of head h)
/// and those of q = wq query + bq.
template <Scalar S, Index Features, Index Heads, bool WithBias, class Default>
struct Training<Aaren<S, Features, Heads, WithBias, Default>> {
  using L = Aaren<S, Features, Heads, WithBias, Default>;
  using Folded = typename L::Folded;
  using State = typename L::State;

  struct Tape {
    std::optional<Folded> folded;
    typename Training<Folded>::Tape inner;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.folded = layer.folded();
    Training<Folded>::forward(*tape.folded, form, state, x, y, tape.inner);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    Folded d = zeros_like(*tape.folded);
    Training<Folded>::backward(*tape.folded, tape.inner, dy, dstate_end, d, dx, dstate_start);
    const Index features = layer.input_size(), heads = layer.heads();
    const MatrixView<const S> df = std::as_const(d.in_proj.weight);
    const S* const dc = d.in_proj.bias.data();
    add(df.row(heads), gradient.wv);
    add(dc + heads, gradient.bv);
    add(d.out_proj.weight.data(), gradient.wo);
    add(d.out_proj.bias.data(), gradient.bo);
    for (Index i = 0; i < features; ++i) {
      const Index h = i / layer.head_dim(), row = i * features;
      const S q = layer.scale * layer.query_feature(i);
      const S dq = layer.scale * (dot<S>(df.row(h), layer.wk.data() + row, features) + dc[h] * layer.bk[i]);
      add_scaled(q, df.row(h), gradient.wk.data() + row, features);
      add_scaled(dq, layer.query.data(), gradient.wq.data() + row, features);
      add_scaled(dq, layer.wq.data() + row, gradient.query.data(), features);
      gradient.bk[i] += q * dc[h];
      gradient.bq[i] += dq;
    }
  }

 private:
  template <class TensorType>
  static void add(const S* from, TensorType& to) noexcept {
    add_scaled(S{1}, from, to.data(), to.size());
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
