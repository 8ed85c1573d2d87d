#pragma once

#include <stepscan/layers/attention_layer.hpp>
#include <stepscan/ops/attention_backward.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Training of the layers that attend to a cache. The tape keeps a view of x, the outputs, two numbers per query and
/// head, and the first cache; the weights are worked out once more.
template <class L>
requires(L::attends_to_cache) struct Training<L> {
  using S = typename L::scalar_type;
  using State = typename L::State;
  static_assert(std::same_as<S, typename L::stored_type>,
                "stepscan: keys and values kept in 16 bits are not trained; train the layer that keeps them as they "
                "are, whose parameters have the same names");
  using Sequences = Tensor<S, Dynamic, Dynamic, Dynamic>;

  struct Tape {
    SequenceView<const S> x;
    State start;
    Sequences y;
    Sequences maximum;
    Sequences sum;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, L::Inputs> x,
                      SequenceView<S, L::Outputs> y, Tape& tape) {
    tape.x = x;
    tape.start = state;
    const Index heads = layer.sizes().heads;
    resize(tape.y, {x.batch, x.time, layer.output_size()});
    resize(tape.maximum, {x.batch, x.time, heads});
    resize(tape.sum, {x.batch, x.time, heads});
    const SequenceView<S> kept(tape.y);
    layer.attend(form, state, tape.x, kept, tape.workspace, {tape.maximum, tape.sum});
    copy_tokens<S>(x, kept, y);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::Outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, L::Inputs> dx, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    const SequenceView<S> to(dx);
    dstate_start = dstate_end;
    if (tape.x.batch == 0 || tape.x.time == 0) return;
    const AttentionInputs<S> in = layer.gathered(tape.start, tape.x, tape.workspace);
    const SequenceView<S> dk = tape.workspace.template sequence<S>(in.k, in.k.features);
    const SequenceView<S> dv = tape.workspace.template sequence<S>(in.v, in.v.features);
    const AttentionRows<S> rows{tape.maximum, tape.sum};
    const AttentionCotangents<S> cotangents{tape.y, dy, {}, layer.queries(to), dk, dv};
    attention_scan_backward(layer.fold(), layer.pattern(tape.start), in, rows, cotangents, tape.workspace);
    if constexpr (requires { gradient.start_cotangents(); }) {
      attention_start_backward(in, rows, cotangents, gradient.start_cotangents());
    }
    for (Index b = 0; b < tape.x.batch; ++b) {
      scatter(tape, b, layer.sinks(), dk, layer.keys(to), tape.start.key_size(),
              [&](Index row) { return dstate_start.key(b, row); });
      scatter(tape, b, layer.sinks(), dv, layer.values(to), tape.start.value_size(),
              [&](Index row) { return dstate_start.value(b, row); });
    }
    clear_padding(tape.x, to);
  }

 private:
  /// The cotangents of a member's kept and new rows to where they came from. What the last cache holds of the new ones
  /// has a cotangent there, and what it held before in that place has none.
  template <class Row>
  static void scatter(const Tape& tape, Index b, Index sinks, const SequenceView<S>& d, const SequenceView<S>& dx,
                      Index size, Row&& row) {
    const KeptTokens before = tape.start.kept(b, sinks);
    const Index kept = before.count(), added = tape.x.length(b), end = before.seen + added;
    for (Index t = 0; t < added; ++t) {
      const Index token = before.seen + t;
      S* const to = dx.token(b, t);
      std::copy_n(d.token(b, kept + t), size, to);
      if (token >= sinks && token < end - (before.capacity - sinks)) continue;
      S* const place = row(before.row_of(token));
      add(place, to, size);
      std::fill_n(place, size, S{0});
    }
    for (Index i = 0; i < kept; ++i) add(d.token(b, i), row(before.row(i)), size);
  }
  static void add(const S* x, S* y, Index size) noexcept { add_rows<S>({x, 1, size}, {y, 1, size}); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
