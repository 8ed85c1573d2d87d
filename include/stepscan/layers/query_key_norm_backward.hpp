#pragma once

#include <stepscan/layers/query_key_norm.hpp>
#include <stepscan/ops/norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone; the statistics are taken again.
template <Scalar S, Index Heads, Index KvHeads, Index KeyDim, Index ValueDim>
struct Training<QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>> {
  using L = QueryKeyNorm<S, Heads, KvHeads, KeyDim, ValueDim>;

  struct Tape {
    SequenceView<const S> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& state, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const NoState&,
                       L& gradient, SequenceView<S, L::static_inputs> dx, NoState&) {
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      const MatrixView<const S> x = tape.x.member(b).middle_rows(0, tokens), dto = dy.member(b).middle_rows(0, tokens);
      const MatrixView<S> dfrom = dx.member(b).middle_rows(0, tokens);
      layer.for_each_norm([&](auto which, Index first, Index heads) {
        const Index count = heads * (layer.*which).input_size();
        normalize_backward<Centre::zero, S>(layer.norm(which, heads), x.middle_cols(first, count),
                                            dto.middle_cols(first, count), {(gradient.*which).weight.data()},
                                            dfrom.middle_cols(first, count));
      });
      for (Index t = 0; t < tokens; ++t) {
        std::copy(dto.row(t) + layer.first_value(), dto.row(t) + dto.cols, dfrom.row(t) + layer.first_value());
      }
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
