#pragma once

#include <algorithm>
#include <array>
#include <stepscan/ops/gate_weights_backward.hpp>
#include <stepscan/ops/gated_recurrence.hpp>

/// Backpropagation through time for the gated recurrences of ops/gated_recurrence.hpp. The forward pass keeps every
/// token's pre-activations and the state before it; the way back runs token after token,
///   da_t = (cell's VJP of dh_t, ...),   dh_{t-1} += U^T da_t,
/// and turns the cotangents of a run of tokens into gradients by large products: dW += da^T x, dU += da^T h, dx = da W.
namespace stepscan::inline STEPSCAN_ISA {

/// What the forward pass of a gated recurrence keeps. It grows when needed and is reused from call to call.
template <class Cell, Scalar S>
struct GatedTape {
  SequenceView<const S> x;  ///< the caller's
  Index hidden = 0;
  Tensor<S, Dynamic> gates;                             ///< [time, batch, gates * hidden], all pre-activations
  std::array<Tensor<S, Dynamic>, Cell::states> before;  ///< [time, batch, hidden], each state before each token
  Workspace workspace;

  /// Makes room for a sequence.
  void begin(SequenceView<const S> inputs, Index hidden_size) {
    const auto reserve = [](Tensor<S, Dynamic>& tensor, Index size) {
      if (tensor.size() < size) tensor = Tensor<S, Dynamic>(size);
    };
    x = inputs;
    hidden = hidden_size;
    reserve(gates, x.time * x.batch * width());
    for (auto& state : before) reserve(state, x.time * x.batch * hidden);
  }

  [[nodiscard]] Index width() const noexcept { return static_cast<Index>(Cell::gates) * hidden; }

  /// Pre-activations of tokens [first, first + count) with the batch inside: row of batch member b at time t is
  /// (t - first) * batch + b.
  [[nodiscard]] MatrixView<S> gate_rows(Index first, Index count) noexcept {
    return {gates.data() + first * x.batch * width(), count * x.batch, width()};
  }
  [[nodiscard]] StateRows<S, Cell::states> before_rows(Index first, Index count) noexcept {
    StateRows<S, Cell::states> rows;
    for (std::size_t i = 0; i < Cell::states; ++i) {
      rows[i] = {before[i].data() + first * x.batch * hidden, count * x.batch, hidden};
    }
    return rows;
  }
};

namespace detail {

/// Zero where padding would otherwise leave old memory in products over whole frames.
template <Scalar S, Index Inputs>
void clear_padded_rows(SequenceView<const S, Inputs> x, Index t, MatrixView<S> rows) noexcept {
  for (Index b = 0; b < x.batch && x.is_ragged(); ++b) {
    if (t >= x.length(b)) std::fill_n(rows.row(b), Index{rows.cols}, S{0});
  }
}

template <class T, std::size_t Count>
void copy_rows(const StateRows<T, Count>& from, const StateRows<T, Count>& to) noexcept {
  for (std::size_t i = 0; i < Count; ++i) {
    for (Index r = 0; r < from[i].rows; ++r) std::copy_n(from[i].row(r), Index{from[i].cols}, to[i].row(r));
  }
}

/// W x + b of tokens [first, first + count) into the tape, blocks of tokens over threads. `rows` is scratch
/// [count * batch, inputs].
template <class Cell, Scalar S, Index Inputs, class Weights>
void project_tape(const Weights& weights, SequenceView<const S, Inputs> x, Index first, Index count, S* rows,
                  GatedTape<Cell, S>& tape) {
  const Index blocks = std::min<Index>(max_threads(), count);
  parallel_for(blocks, [&](Index block) {
    const Index begin = count * block / blocks, tokens = count * (block + 1) / blocks - begin;
    const SequenceView<S> gates = time_major(tape.gate_rows(first + begin, tokens).data, x.batch, tokens, tape.width());
    project_chunk(weights, x.slice(first + begin, tokens), gates, rows + begin * x.batch * x.features);
  });
}

}  // namespace detail

/// scan_chunked that fills the tape; the same bits.
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void forward_chunked(const Weights& weights, const StateRows<S, Cell::states>& state, SequenceView<const S, Inputs> x,
                     SequenceView<S> y, Index chunk, GatedTape<Cell, S>& tape) {
  const Workspace::Scope scope(tape.workspace);
  const Index hidden = weights.hidden();
  const Index automatic = solve_hoisted_chunk(x.batch * tape.width() * static_cast<Index>(sizeof(S)));
  const Index tokens = std::min(chunk > 0 ? chunk : automatic, x.time);
  S* rows = tape.workspace.template take<S>(x.batch > 1 ? tokens * x.batch * x.features : 0);
  const MatrixView<S> late = tape.workspace.template matrix<S, Dynamic>(x.batch, hidden);
  const Index blocks = std::min<Index>(max_threads(), x.batch);
  for (Index start = 0; start < x.time; start += tokens) {
    const Index end = std::min(start + tokens, x.time);
    detail::project_tape<Cell>(weights, x, start, end - start, rows, tape);
    parallel_for(blocks, [&](Index block) {
      const Index begin = x.batch * block / blocks, members = x.batch * (block + 1) / blocks - begin;
      for (Index t = start; t < end; ++t) {
        const auto gates = tape.gate_rows(t, 1).middle_rows(begin, members);
        const auto before = middle_rows(tape.before_rows(t, 1), begin, members);
        const auto inputs = x.members(begin, members);
        for (const auto& part : before) detail::clear_padded_rows(inputs, t, part);
        for_each_active_run(inputs, y, t, [&](Index first, Index active) {
          const auto now = middle_rows(state, begin + first, active);
          detail::copy_rows(now, middle_rows(before, first, active));
          advance<Cell, Math>(weights, now, gates.middle_rows(first, active), late.middle_rows(begin + first, active),
                              y.frame(t, begin + first, active), t % 2 != 0);
        });
      }
    });
  }
  clear_padding(x, y);
}

/// Fills the tape from outputs y that are known already, and the state that the sequence started from: all recurrent
/// products of a run of tokens at once. The start is used up.
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void fill_tape(const Weights& weights, const StateRows<S, Cell::states>& start, SequenceView<const S, Inputs> x,
               SequenceView<const S> y, GatedTape<Cell, S>& tape) {
  const Workspace::Scope scope(tape.workspace);
  const Index hidden = weights.hidden();
  const Index tokens = std::min(solve_hoisted_chunk(x.batch * tape.width() * static_cast<Index>(sizeof(S))), x.time);
  S* rows = tape.workspace.template take<S>(x.batch > 1 ? tokens * x.batch * x.features : 0);
  const MatrixView<S> late = tape.workspace.template matrix<S, Dynamic>(tokens * x.batch, hidden);
  for (Index first = 0; first < x.time; first += tokens) {
    const Index count = std::min(tokens, x.time - first);
    detail::project_tape<Cell>(weights, x, first, count, rows, tape);
    const MatrixView<S> gates = tape.gate_rows(first, count);
    const auto before = tape.before_rows(first, count);
    for (Index t = first; t < first + count; ++t) {
      for (Index b = 0; b < x.batch; ++b) {
        if (t >= x.length(b)) continue;
        const S* h = t == 0 ? start[0].row(b) : y.token(b, t - 1);
        std::copy_n(h, hidden, before[0].row((t - first) * x.batch + b));
      }
      detail::clear_padded_rows(x, t, before[0].middle_rows((t - first) * x.batch, x.batch));
    }
    weights.recur(before[0], gates);
    if constexpr (Cell::late_candidate) {
      for (Index r = 0; r < gates.rows; ++r) {
        for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
          const auto a = detail::load_gates<Cell::gates>(gates.row(r), hidden, u, lanes);
          lanes.store(late.row(r) + u, Cell::template late_input<Math>(a, detail::load_state<S>(before, r, u, lanes)));
        });
      }
      weights.recur_late(late, gates);
    }
    if constexpr (Cell::states > 1) {
      for (Index r = 0; r < gates.rows; ++r) {
        const Index b = r % x.batch;
        for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
          auto now = detail::load_state<S>(start, b, u, lanes);
          now[0] = lanes.load(before[0].row(r) + u);
          for (std::size_t i = 1; i < Cell::states; ++i) lanes.store(before[i].row(r) + u, now[i]);
          Cell::template advance<Math>(detail::load_gates<Cell::gates>(gates.row(r), hidden, u, lanes), now);
          for (std::size_t i = 1; i < Cell::states; ++i) lanes.store(start[i].row(b) + u, now[i]);
        });
      }
    }
  }
}

namespace detail {

/// One token back for a run of batch members: dstate goes from the state after the token to the one before it, da
/// becomes the cotangents of the pre-activations. For a cell with a late candidate, `late` becomes what its weights
/// multiplied, and dq is scratch. `backwards` as in PanelsView::multiply.
template <class Cell, Scalar S>
void pull_back_token(const TransposedGates<Cell, S>& weights, MatrixView<const S> gates,
                     const StateRows<S, Cell::states>& before, MatrixView<const S> dy, MatrixView<S> da,
                     MatrixView<S> late, MatrixView<S> dq, const StateRows<S, Cell::states>& dstate,
                     bool backwards) noexcept {
  const Index hidden = dy.cols;
  const auto store_back = [&](Index r, Index u, auto lanes, const auto& da_u, const auto& dstate_u) {
    for (std::size_t g = 0; g < Cell::gates; ++g) lanes.store(da.row(r) + static_cast<Index>(g) * hidden + u, da_u[g]);
    for (std::size_t i = 0; i < Cell::states; ++i) lanes.store(dstate[i].row(r) + u, dstate_u[i]);
  };
  for (Index r = 0; r < gates.rows; ++r) {
    for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
      const auto a = load_gates<Cell::gates>(gates.row(r), hidden, u, lanes);
      auto back = load_state<S>(dstate, r, u, lanes);
      back[0] = back[0] + lanes.load(dy.row(r) + u);
      std::array<Simd<S>, Cell::gates> da_u;
      Cell::pull_back(a, load_state<S>(before, r, u, lanes), da_u, back);
      store_back(r, u, lanes, da_u, back);
    });
  }
  if constexpr (Cell::late_candidate) {
    weights.recur_late(da, dq);
    for (Index r = 0; r < gates.rows; ++r) {
      for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
        const auto a = load_gates<Cell::gates>(gates.row(r), hidden, u, lanes);
        const auto state = load_state<S>(before, r, u, lanes);
        auto da_u = load_gates<Cell::gates>(da.row(r), hidden, u, lanes);
        auto back = load_state<S>(dstate, r, u, lanes);
        lanes.store(late.row(r) + u, Cell::template late_input<Exact>(a, state));
        Cell::late_pull_back(a, state, lanes.load(dq.row(r) + u), da_u, back);
        store_back(r, u, lanes, da_u, back);
      });
    }
  }
  weights.recur(da, dstate[0], backwards);
}

/// The inputs of tokens [first, first + count) as rows, with the batch inside and padding zero; the caller's own memory
/// for a batch of one.
template <Scalar S>
MatrixView<const S> input_rows(SequenceView<const S> x, Index first, Index count, S* rows) noexcept {
  if (x.batch == 1) return x.member(0).middle_rows(first, count);
  for (Index t = first; t < first + count; ++t) {
    for (Index b = 0; b < x.batch; ++b) {
      S* row = rows + ((t - first) * x.batch + b) * x.features;
      if (t < x.length(b)) {
        std::copy_n(x.token(b, t), Index{x.features}, row);
      } else {
        std::fill_n(row, Index{x.features}, S{0});
      }
    }
  }
  return {rows, count * x.batch, Index{x.features}};
}

/// dx of tokens [first, first + count) from the cotangents of their pre-activations, blocks of tokens over threads.
template <class Cell, Scalar S>
void pull_back_inputs(const TransposedGates<Cell, S>& weights, MatrixView<const S> da, SequenceView<const S> x,
                      Index first, Index count, S* rows, SequenceView<S> dx) {
  const Index blocks = std::min<Index>(max_threads(), count);
  parallel_for(blocks, [&](Index block) {
    const Index begin = count * block / blocks, tokens = count * (block + 1) / blocks - begin;
    const MatrixView<const S> part = da.middle_rows(begin * x.batch, tokens * x.batch);
    if (x.batch == 1) {
      weights.project(part, dx.member(0).middle_rows(first + begin, tokens));
      return;
    }
    const MatrixView<S> out(rows + begin * x.batch * x.features, tokens * x.batch, Index{x.features});
    weights.project(part, out);
    for (Index t = 0; t < tokens; ++t) {
      for (Index b = 0; b < x.batch; ++b) {
        if (first + begin + t >= x.length(b)) continue;
        std::copy_n(out.row(t * x.batch + b), Index{x.features}, dx.token(b, first + begin + t));
      }
    }
  });
}

/// About how many rows of cotangents become gradients by one product: enough to keep it busy, few enough to stay
/// cached.
inline constexpr Index backward_rows = 256;

}  // namespace detail

/// The way back of a tape: dy [batch, time, hidden] in, dx out; dstate holds the cotangent of the final state and ends
/// as that of the initial one; the gradient of the parameters is added.
template <class Cell, Scalar S>
void gated_backward(const GateParameters<S, Dynamic, Dynamic, Dynamic>& parameters, GatedTape<Cell, S>& tape,
                    SequenceView<const S> dy, const GateParameters<S, Dynamic, Dynamic, Dynamic, S>& gradient,
                    SequenceView<S> dx, const StateRows<S, Cell::states>& dstate) {
  const SequenceView<const S> x = tape.x;
  Index longest = 0;
  for (Index b = 0; b < x.batch; ++b) longest = std::max(longest, x.length(b));
  const Workspace::Scope scope(tape.workspace);
  const TransposedGates<Cell, S> weights(parameters, tape.workspace);
  const Index hidden = tape.hidden, width = tape.width();
  const Index chunks = std::max<Index>((longest * x.batch + detail::backward_rows - 1) / detail::backward_rows, 1);
  const Index most = std::max<Index>((longest + chunks - 1) / chunks, 1), most_rows = most * x.batch;
  const auto matrix = [&](Index rows, Index cols) { return tape.workspace.template matrix<S, Dynamic>(rows, cols); };
  const MatrixView<S> da = matrix(most_rows, width), bias_sums = matrix(1, width), dq = matrix(x.batch, hidden);
  const MatrixView<S> late = matrix(Cell::late_candidate ? most_rows : 0, hidden);
  S* rows = tape.workspace.template take<S>(x.batch > 1 ? most_rows * x.features : 0);
  std::fill_n(bias_sums.data, width, S{0});
  const Index blocks = std::min<Index>(max_threads(), x.batch);

  for (Index end = longest, start = 0; end > 0; end = start) {
    start = std::max<Index>(end - most, 0);
    const Index count = (end - start) * x.batch;
    if (x.is_ragged()) {
      std::fill_n(da.data, count * width, S{0});
      if (Cell::late_candidate) std::fill_n(late.data, count * hidden, S{0});
    }
    parallel_for(blocks, [&](Index block) {
      const Index begin = x.batch * block / blocks, members = x.batch * (block + 1) / blocks - begin;
      for (Index t = end - 1; t >= start; --t) {
        for_each_active_run(x.members(begin, members), dy, t, [&](Index run, Index active) {
          const Index first = begin + run, row = (t - start) * x.batch + first;
          detail::pull_back_token<Cell, S>(
              weights, tape.gate_rows(t, 1).middle_rows(first, active),
              middle_rows(tape.before_rows(t, 1), first, active), dy.frame(t, first, active),
              da.middle_rows(row, active), Cell::late_candidate ? late.middle_rows(row, active) : late,
              dq.middle_rows(first, active), middle_rows(dstate, first, active), t % 2 != 0);
        });
      }
    });
    const MatrixView<const S> chunk_da = da.middle_rows(0, count);
    add_weight_gradients<Cell, S>(
        {chunk_da, detail::input_rows(x, start, end - start, rows), tape.before_rows(start, end - start)[0],
         Cell::late_candidate ? late.middle_rows(0, count) : late},
        gradient, bias_sums.data);
    detail::pull_back_inputs<Cell, S>(weights, chunk_da, x, start, end - start, rows, dx);
  }
  add_bias_gradients<S>(bias_sums.data, gradient);
  clear_padding(x, dx);
}

}  // namespace stepscan::inline STEPSCAN_ISA
