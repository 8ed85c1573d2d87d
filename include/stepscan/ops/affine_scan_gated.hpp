#pragma once

#include <array>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/ops/affine_scan.hpp>

/// Recurrences whose maps h -> decay h + input are made from pre-activations W x + b by a cell (ops/min_gru.hpp and its
/// neighbours): the products of a chunk are one matrix product, and gates and scan share one loop.
namespace stepscan::inline STEPSCAN_ISA {

/// The packed weights [gates * hidden, inputs] and the bias [gates * hidden], gates in the cell's order.
template <Scalar S, class Stored = S>
struct AffineGateWeights {
  PanelsView<S, Dynamic, Dynamic, Stored> weight;
  const S* bias = nullptr;
};

namespace detail {

template <class Cell, Scalar S, class Lanes>
[[gnu::always_inline]] inline std::array<Simd<S>, Cell::gates> load_pre_activations(const S* row, Index hidden, Index u,
                                                                                    const Lanes& lanes) noexcept {
  std::array<Simd<S>, Cell::gates> a;
  for (std::size_t g = 0; g < Cell::gates; ++g) a[g] = lanes.load(row + static_cast<Index>(g) * hidden + u);
  return a;
}

/// The tokens of one chunk: y_t = decay_t y_(t-1) + input_t, beginning with the state `before`.
template <class Cell, class Math, Scalar S>
void scan_gates(MatrixView<const S> pre, const S* before, MatrixView<S> y) noexcept {
  const Index hidden = y.cols;
  for (Index t = 0; t < y.rows; ++t) {
    for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
      const auto step = Cell::template step<Math>(load_pre_activations<Cell>(pre.row(t), hidden, u, lanes));
      lanes.store(y.row(t) + u, fma(step.decay, lanes.load(before + u), step.input));
    });
    before = y.row(t);
  }
}

/// The same from the state 0, with the products of the decays up to each token beside it.
template <class Cell, class Math, Scalar S>
void scan_gates_locally(MatrixView<const S> pre, MatrixView<S> products, MatrixView<S> y) noexcept {
  const Index hidden = y.cols;
  for (Index t = 0; t < y.rows; ++t) {
    for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
      const auto step = Cell::template step<Math>(load_pre_activations<Cell>(pre.row(t), hidden, u, lanes));
      if (t == 0) {
        lanes.store(products.row(t) + u, step.decay);
        lanes.store(y.row(t) + u, step.input);
      } else {
        lanes.store(products.row(t) + u, step.decay * lanes.load(products.row(t - 1) + u));
        lanes.store(y.row(t) + u, fma(step.decay, lanes.load(y.row(t - 1) + u), step.input));
      }
    });
  }
}

}  // namespace detail

/// One token of every row: pre holds its pre-activations [rows, gates * hidden]; h moves on and is also written to y.
template <class Cell, class Math, Scalar S>
void gated_affine_step(MatrixView<const S> pre, MatrixView<S> h, MatrixView<S> y) noexcept {
  const Index hidden = h.cols;
  for (Index r = 0; r < h.rows; ++r) {
    for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
      const auto step = Cell::template step<Math>(detail::load_pre_activations<Cell>(pre.row(r), hidden, u, lanes));
      const Simd<S> next = fma(step.decay, lanes.load(h.row(r) + u), step.input);
      lanes.store(h.row(r) + u, next);
      lanes.store(y.row(r) + u, next);
    });
  }
}

/// What a forward pass keeps for its backward pass; nothing where data is null.
template <Scalar S>
struct GatedAffineTrace {
  SequenceView<S> pre;  ///< pre-activations [batch, time, gates * hidden]
  SequenceView<S> h;    ///< outputs [batch, time, hidden]
};

namespace detail {

/// In a chunked schedule emit does all the work. In a parallel one summarise scans the chunk from the state 0, into y,
/// and emit adds what the incoming state leaves behind: y_t += (decay_1 ... decay_t) h, so nothing is projected twice.
template <class Cell, class Math, Scalar S, class Stored>
struct GatedAffineScan {
  static constexpr bool keeps_local = true;

  AffineGateWeights<S, Stored> weights;
  SequenceView<const S> x;
  SequenceView<S> y;
  MatrixView<S> start;
  GatedAffineTrace<S> trace;
  ScanGrid grid;
  S* scratch = nullptr;      ///< pre-activations of one chunk per worker, unless traced
  SequenceView<S> products;  ///< parallel only
  S* states = nullptr;       ///< parallel only: the state that enters each chunk but the first

  [[nodiscard]] Index length(Index s) const noexcept { return x.length(s); }
  [[nodiscard]] DiagonalAffine<S> monoid() const noexcept { return {y.features}; }
  [[nodiscard]] S* state_row(Index s, Index i) const noexcept {
    return i == 0 ? start.row(s) : states + (s * chunk_count(grid.time, grid.chunk) + i) * y.features;
  }
  [[nodiscard]] Planes<S*, 1> state(Index s, Index i) const noexcept { return {state_row(s, i)}; }
  [[nodiscard]] typename DiagonalAffine<S>::Element element(Index s, Index i) const noexcept {
    const Index last = std::min((i + 1) * grid.chunk, length(s)) - 1;
    return {{products.token(s, last)}, {y.token(s, last)}};
  }
  void finish(Index s, Index i) const noexcept { std::copy_n(state_row(s, i), Index{y.features}, start.row(s)); }

  void summarise(const ScanJob& job, const typename DiagonalAffine<S>::Element&) const noexcept {
    scan_gates_locally<Cell, Math, S>(project(job), rows(products, job), rows(y, job));
  }

  void emit(const ScanJob& job, const Planes<S*, 1>& state) const noexcept {
    const MatrixView<S> out = rows(y, job);
    if (products.data == nullptr) {
      scan_gates<Cell, Math, S>(project(job), state[0], out);
    } else {
      add_incoming(rows(products, job), state[0], out);
    }
    std::copy_n(out.row(out.rows - 1), Index{out.cols}, state[0]);
    if (trace.h.data == nullptr) return;
    const MatrixView<S> kept = rows(trace.h, job);
    for (Index t = 0; t < out.rows; ++t) std::copy_n(out.row(t), Index{out.cols}, kept.row(t));
  }

 private:
  template <class T>
  static MatrixView<T> rows(const SequenceView<T>& sequence, const ScanJob& job) noexcept {
    return sequence.member(job.sequence).middle_rows(job.tokens.begin, job.tokens.size());
  }

  [[nodiscard]] MatrixView<S> project(const ScanJob& job) const noexcept {
    const Index width = weights.weight.rows, count = job.tokens.size();
    const MatrixView<S> pre = trace.pre.data != nullptr
                                  ? rows(trace.pre, job)
                                  : MatrixView<S>(scratch + job.worker * grid.chunk * width, count, width);
    weights.weight.multiply(rows(x, job), {weights.bias, count, width, 0}, pre);
    return pre;
  }

  static void add_incoming(MatrixView<const S> product, const S* incoming, MatrixView<S> out) noexcept {
    for (Index t = 0; t < out.rows; ++t) {
      for_each_lanes<S>(out.cols, [&](Index u, auto lanes) {
        lanes.store(out.row(t) + u,
                    fma(lanes.load(product.row(t) + u), lanes.load(incoming + u), lanes.load(out.row(t) + u)));
      });
    }
  }
};

}  // namespace detail

/// A whole sequence x [batch, time, inputs] from the state h [batch, hidden] and into it; y [batch, time, hidden].
template <class Cell, class Math, Scalar S, class Stored>
void gated_affine_scan(const AffineGateWeights<S, Stored>& weights, MatrixView<S> h, SequenceView<const S> x,
                       SequenceView<S> y, const ScanSchedule& schedule, Workspace& workspace,
                       const GatedAffineTrace<S>& trace = {}) {
  const Workspace::Scope scope(workspace);
  const Index width = weights.weight.rows;
  detail::GatedAffineScan<Cell, Math, S, Stored> op{weights, x, y, h, trace, {}, nullptr, {}, nullptr};
  op.grid = detail::hoisted_affine_grid<S>(x.batch, x.time, width, weights.weight.cols, schedule, Direction::forward);
  if (trace.pre.data == nullptr) op.scratch = workspace.take<S>(op.grid.workers * op.grid.chunk * width);
  if (schedule.parallel) {
    op.products = workspace.sequence<S>(x, y.features);
    op.states = workspace.take<S>(x.batch * chunk_count(x.time, op.grid.chunk) * y.features);
  }
  run_scan(op, op.grid, schedule);
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
