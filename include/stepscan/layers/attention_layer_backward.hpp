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
    tape.start.keep_what(state, layer.sinks());
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
    if (!dstate_start.has_shape_of(dstate_end) || tape.x.batch == 0 || tape.x.time == 0) dstate_start = dstate_end;
    if (tape.x.batch == 0 || tape.x.time == 0) return;
    const AttentionInputs<S> in = layer.gathered(tape.start, tape.x, tape.workspace);
    const auto cotangents_of = [&](const SequenceView<const S>& gathered, const SequenceView<const S>& part,
                                   const SequenceView<S>& dpart) {
      const bool none_kept = gathered.data == part.data;
      return none_kept ? dpart : tape.workspace.template sequence<S>(gathered, gathered.features);
    };
    const SequenceView<S> dk = cotangents_of(in.k, layer.keys(tape.x), layer.keys(to));
    const SequenceView<S> dv = cotangents_of(in.v, layer.values(tape.x), layer.values(to));
    const AttentionRows<S> rows{tape.maximum, tape.sum};
    const AttentionCotangents<S> cotangents{tape.y, dy, {}, layer.queries(to), dk, dv};
    attention_scan_backward(layer.fold(), layer.pattern(tape.start), in, rows, cotangents, tape.workspace);
    if constexpr (requires { gradient.start_cotangents(); }) {
      attention_start_backward(in, rows, cotangents, gradient.start_cotangents());
    }
    dstate_start.length = dstate_end.length;
    for (Index b = 0; b < tape.x.batch; ++b) {
      scatter(tape, b, layer.sinks(), dk, layer.keys(to), {dstate_end.key(b, 0), dstate_start.key(b, 0), dk.features});
      scatter(tape, b, layer.sinks(), dv, layer.values(to),
              {dstate_end.value(b, 0), dstate_start.value(b, 0), dv.features});
    }
    clear_padding(tape.x, to);
  }

 private:
  /// The cotangents of the rows of a cache behind a sequence, and before it; the two may be one.
  struct Rows {
    const S* end;
    S* start;
    Index size;

    /// What lies in some rows is the same before and behind.
    void stay(Index first, Index count) const noexcept {
      if (end != start) std::copy_n(end + first * size, count * size, start + first * size);
    }
  };

  /// The cotangents of a member's kept and new rows to where they came from. What the last cache holds of the new ones
  /// has a cotangent there, and what it held before in that place has none.
  static void scatter(const Tape& tape, Index b, Index sinks, const SequenceView<S>& d, const SequenceView<S>& dx,
                      const Rows& rows) {
    const KeptTokens before = tape.start.kept(b, sinks);
    const Index kept = before.count(), added = tape.x.length(b), size = rows.size;
    const KeptTokens after{before.seen + added, before.capacity, sinks};
    for (Index t = 0; t < added; ++t) {
      const Index token = before.seen + t, row = before.row_of(token);
      S* const to = dx.token(b, t);
      if (d.token(b, kept + t) != to) std::copy_n(d.token(b, kept + t), size, to);
      if (token >= sinks && token < after.seen - (before.capacity - sinks)) continue;
      add(rows.end + row * size, to, size);
      std::fill_n(rows.start + row * size, size, S{0});
    }
    after.for_each_run(
        [&](Index row, Index token, Index count) { rows.stay(row, std::clamp<Index>(before.seen - token, 0, count)); });
    rows.stay(after.count(), before.capacity - after.count());
    for (Index i = 0; i < kept; ++i) add(d.token(b, i), rows.start + before.row(i) * size, size);
  }
  static void add(const S* x, S* y, Index size) noexcept { add_rows<S>({x, 1, size}, {y, 1, size}); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
