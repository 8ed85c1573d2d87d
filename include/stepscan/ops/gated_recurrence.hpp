#pragma once

#include <algorithm>
#include <array>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/ops/gate_weights.hpp>
#include <stepscan/ops/gated_row.hpp>

/// Nonlinear recurrences with gates: LSTM, GRU, Elman, sLSTM, with one head or many. A cell (ops/lstm.hpp and its
/// neighbours) is the pointwise part, from one row of pre-activations and the state to the next state; the weights
/// (ops/gate_weights.hpp) make the pre-activations, W x + b from the input and U h from the state.
namespace stepscan::inline STEPSCAN_ISA {

/// The state of `Count` tensors [batch, hidden] as views; the first is h, the output.
template <class T, std::size_t Count>
using StateRows = std::array<MatrixView<T>, Count>;

template <class T, std::size_t Count>
[[nodiscard]] constexpr StateRows<T, Count> middle_rows(const StateRows<T, Count>& rows, Index first,
                                                        Index count) noexcept {
  StateRows<T, Count> part = rows;
  for (auto& view : part) view = view.middle_rows(first, count);
  return part;
}

/// The views of a cell's state.
template <class Cell, class State>
[[nodiscard, gnu::always_inline]] inline auto state_rows(State& state) noexcept {
  using T = std::remove_reference_t<decltype(*state.h.data())>;
  StateRows<T, Cell::states> rows;
  std::size_t i = 0;
  for_each_tensor([&](const Path&, auto& tensor) { rows[i++] = MatrixView<T>(tensor); }, state);
  return rows;
}

namespace detail {

template <Scalar S, std::size_t Count, class Lanes>
std::array<Simd<S>, Count> load_state(const StateRows<S, Count>& rows, Index r, Index u, Lanes lanes) noexcept {
  std::array<Simd<S>, Count> state;
  for (std::size_t i = 0; i < Count; ++i) state[i] = lanes.load(rows[i].row(r) + u);
  return state;
}

template <std::size_t Count, Scalar S, class Lanes>
std::array<Simd<S>, Count> load_gates(const S* gates, Index hidden, Index u, Lanes lanes) noexcept {
  std::array<Simd<S>, Count> a;
  for (std::size_t g = 0; g < Count; ++g) a[g] = lanes.load(gates + static_cast<Index>(g) * hidden + u);
  return a;
}

}  // namespace detail

/// One token of a recurrence for every row: gates holds W x + b and ends as all pre-activations, the state moves on,
/// y becomes h. `late` is scratch [rows, hidden] for cells with a late candidate. `backwards`, best alternated from
/// token to token, changes no result (PanelsView::multiply).
template <class Cell, class Math = Exact, Scalar S, class Weights>
void advance(const Weights& weights, const StateRows<S, Cell::states>& state, MatrixView<S> gates, MatrixView<S> late,
             MatrixView<S> y, bool backwards = false) noexcept {
  const auto hidden = weights.hidden();
  weights.recur(state[0], gates, backwards);
  if constexpr (Cell::late_candidate) {
    for (Index r = 0; r < gates.rows; ++r) {
      for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
        const auto a = detail::load_gates<Cell::gates>(gates.row(r), hidden, u, lanes);
        lanes.store(late.row(r) + u, Cell::template late_input<Math>(a, detail::load_state<S>(state, r, u, lanes)));
      });
    }
    weights.recur_late(late, gates);
  }
  for (Index r = 0; r < gates.rows; ++r) {
    for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
      auto next = detail::load_state<S>(state, r, u, lanes);
      Cell::template advance<Math>(detail::load_gates<Cell::gates>(gates.row(r), hidden, u, lanes), next);
      for (std::size_t i = 0; i < Cell::states; ++i) lanes.store(state[i].row(r) + u, next[i]);
      lanes.store(y.row(r) + u, next[0]);
    });
  }
}

/// The same where nobody asks for the pre-activations: a single row takes the weights packed for it, where there are
/// any.
template <class Cell, class Math = Exact, Scalar S, class Weights>
void advance_state(const Weights& weights, const StateRows<S, Cell::states>& state, MatrixView<S> gates,
                   MatrixView<S> late, MatrixView<S> y, bool backwards) noexcept {
  if constexpr (requires { weights.row_weights(); }) {
    if (gates.rows == 1 && weights.row_weights() != nullptr) {
      std::array<S*, Cell::states> rows;
      for (std::size_t i = 0; i < Cell::states; ++i) rows[i] = state[i].data;
      const GatedRow<Cell, S, Weights::static_hidden, typename Weights::StoredType> row(weights.row_weights(),
                                                                                        weights.hidden());
      row.template advance<Math>(gates.data, rows, y.data, backwards);
      return;
    }
  }
  advance<Cell, Math>(weights, state, gates, late, y, backwards);
}

/// Numbers of scratch that `step` needs per batch member.
template <class Cell>
[[nodiscard]] constexpr Index step_scratch(Index hidden) noexcept {
  return (static_cast<Index>(Cell::gates) + (Cell::late_candidate ? 1 : 0)) * hidden;
}

/// One token of a batch: x [rows, inputs], y [rows, hidden].
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void step(const Weights& weights, const StateRows<S, Cell::states>& state, MatrixView<const S, Dynamic, Inputs> x,
          MatrixView<S> y, S* scratch, bool backwards = false) noexcept {
  const Index hidden = weights.hidden(), width = static_cast<Index>(Cell::gates) * hidden;
  const MatrixView<S> gates(scratch, Index{x.rows}, width);
  const MatrixView<S> late(scratch + x.rows * width, Index{x.rows}, hidden);
  weights.project(x, gates);
  advance_state<Cell, Math>(weights, state, gates, late, y, backwards);
}

/// The form Recurrent: token after token, as `step`.
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void scan_recurrent(const Weights& weights, const StateRows<S, Cell::states>& state, SequenceView<const S, Inputs> x,
                    SequenceView<S> y, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  S* scratch = workspace.take<S>(x.batch * step_scratch<Cell>(weights.hidden()));
  for (Index t = 0; t < x.time; ++t) {
    for_each_active_run(x, y, t, [&](Index first, Index count) {
      step<Cell, Math, S, Inputs>(weights, middle_rows(state, first, count), x.frame(t, first, count),
                                  y.frame(t, first, count), scratch, t % 2 != 0);
    });
  }
  clear_padding(x, y);
}

namespace detail {

/// W x + b for the tokens of a chunk as one product, into gates [batch, chunk, gates * hidden] laid out time step by
/// time step. `rows` is scratch [chunk * batch, inputs] for a batch above one, whose tokens are gathered there.
template <Scalar S, Index Inputs, class Weights>
void project_chunk(const Weights& weights, SequenceView<const S, Inputs> x, SequenceView<S> gates, S* rows) noexcept {
  if (x.batch == 1) {
    weights.project(x.member(0).middle_rows(0, x.length(0)), gates.member(0).middle_rows(0, x.length(0)));
    return;
  }
  for (Index t = 0; t < x.time; ++t) {
    for (Index b = 0; b < x.batch; ++b) {
      S* row = rows + (t * x.batch + b) * x.features;
      if (t < x.length(b)) {
        std::copy_n(x.token(b, t), Index{x.features}, row);
      } else {
        std::fill_n(row, Index{x.features}, S{0});
      }
    }
  }
  const Index count = x.time * x.batch;
  weights.project({rows, count, x.features}, {gates.data, count, Index{gates.features}});
}

/// A chunk's pre-activations, time step by time step: [batch, time, width] with the batch inside.
template <Scalar S>
SequenceView<S> time_major(S* memory, Index batch, Index time, Index width) noexcept {
  SequenceView<S> view(memory, batch, time, width);
  view.batch_stride = width;
  view.time_stride = batch * width;
  return view;
}

}  // namespace detail

/// The form Chunked: the input products of `chunk` tokens as one matrix product, then token after token. Batch members
/// are spread over threads; a chunk of 0 tokens is chosen from the sizes.
template <class Cell, class Math = Exact, Scalar S, Index Inputs, class Weights>
void scan_chunked(const Weights& weights, const StateRows<S, Cell::states>& state, SequenceView<const S, Inputs> x,
                  SequenceView<S> y, Index chunk, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index hidden = weights.hidden(), width = static_cast<Index>(Cell::gates) * hidden;
  const Index blocks = std::min<Index>(max_threads(), x.batch);
  const Index bytes_per_token = x.batch / blocks * width * static_cast<Index>(sizeof(S));
  const Index tokens = std::min(chunk > 0 ? chunk : solve_hoisted_chunk(bytes_per_token), x.time);
  const Index member_size = tokens * (width + (x.batch > blocks ? Index{x.features} : 0)) + hidden;
  S* memory = workspace.take<S>(x.batch * member_size);
  parallel_for(blocks, [&](Index block) {
    const Index begin = x.batch * block / blocks, members = x.batch * (block + 1) / blocks - begin;
    S* own = memory + begin * member_size;
    const MatrixView<S> late(own, members, hidden);
    S* rows = own + members * hidden;
    S* pre_activations = own + members * (member_size - tokens * width);
    const auto own_state = middle_rows(state, begin, members);
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      const auto inputs = x.members(begin, members).slice(start, count);
      const auto outputs = y.members(begin, members).slice(start, count);
      const SequenceView<S> gates = detail::time_major(pre_activations, members, count, width);
      detail::project_chunk(weights, inputs, gates, rows);
      for (Index t = 0; t < count; ++t) {
        for_each_active_run(inputs, outputs, t, [&](Index first, Index active) {
          advance_state<Cell, Math>(weights, middle_rows(own_state, first, active), gates.frame(t, first, active),
                                    late.middle_rows(0, active), outputs.frame(t, first, active), t % 2 != 0);
        });
      }
    }
  });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
