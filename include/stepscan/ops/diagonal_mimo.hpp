#pragma once

#include <stepscan/kernels/panels.hpp>
#include <stepscan/ops/affine_scan.hpp>

/// Diagonal state spaces of many inputs and outputs, time-invariant (S5, LRU): with P complex states
///   h_t = a h_(t-1) + B x_t,   y_t = Re(C h_t) + D x_t
/// The inputs of a chunk are one real matrix product, its states a scan over planes of real and imaginary parts, its
/// outputs another product. There is no convolution: P impulse responses a^l would each take a transform, log T times
/// the work of the scan. Backward: ops/diagonal_mimo_backward.hpp.
namespace stepscan::inline STEPSCAN_ISA {

/// A system. A row of 2 P numbers holds the real parts of the states before their imaginary parts.
template <Scalar S, Index Features = Dynamic, Index StateSize = Dynamic, class Stored = S>
struct DiagonalMimo {
  Planes<const S*, 2> a;                                                 ///< [P]
  PanelsView<S, static_product(2, StateSize), Features, Stored> input;   ///< [Re B; Im B], [2 P, features]
  PanelsView<S, Features, static_product(2, StateSize), Stored> output;  ///< [Re C, -Im C], [features, 2 P]
  const S* skip = nullptr;                                               ///< D [features]; null: y is added to
  const S* zeros = nullptr;                                              ///< [2 P]

  [[nodiscard]] Index states() const noexcept { return input.rows / 2; }
  [[nodiscard]] DiagonalMimo<S, Dynamic, Dynamic, Stored> dynamic() const noexcept {
    return {a, input.dynamic(), output.dynamic(), skip, zeros};
  }

  /// h = B x, for rows of one token each.
  void project(MatrixView<const S> x, MatrixView<S> h) const noexcept {
    input.multiply(x, {zeros, Index{x.rows}, Index{h.cols}, 0}, h);
  }

  /// y = Re(C h) + D x, or y += Re(C h).
  void read(MatrixView<const S> h, MatrixView<const S> x, MatrixView<S> y) const noexcept;
};

namespace detail {

/// y = D x, D diagonal.
template <Scalar S>
void scale_rows(const S* d, MatrixView<const S> x, MatrixView<S> y) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    for_each_lanes<S>(
        x.cols, [&](Index i, auto lanes) { lanes.store(y.row(r) + i, lanes.load(d + i) * lanes.load(x.row(r) + i)); });
  }
}

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Stored>
void DiagonalMimo<S, Features, StateSize, Stored>::read(MatrixView<const S> h, MatrixView<const S> x,
                                                        MatrixView<S> y) const noexcept {
  if (skip != nullptr) detail::scale_rows<S>(skip, x, y);
  output.multiply_add(h, y);
}

namespace detail {

/// The planes of a row of 2 P numbers.
template <class T>
[[nodiscard]] Planes<T*, 2> split_row(T* row, Index states) noexcept {
  return {row, row + states};
}

/// Row number `visited` in the order of the direction.
[[nodiscard]] constexpr Index visited_row(Index visited, Index rows, Direction direction) noexcept {
  return direction == Direction::forward ? visited : rows - 1 - visited;
}

/// The states of one chunk: h_t = a h_(t-1) + v_t written over v [tokens, 2 P], from the state and into it.
template <Scalar S>
void scan_states(const Planes<const S*, 2>& a, MatrixView<S> v, Direction direction,
                 const Planes<S*, 2>& state) noexcept {
  const Index states = v.cols / 2;
  for_each_strip<S, strip_registers<2>>(
      states, {0, v.rows}, direction, [&](TokenRange tokens, Index i, auto count, auto lanes) {
        Planes<Simd<S>, 2> transition[count], carried[count];
        for (int r = 0; r < count; ++r) {
          transition[r] = load_strip(lanes, a, i, r);
          carried[r] = load_strip(lanes, state, i, r);
        }
        for (Index k = 0; k < tokens.size(); ++k) {
          const auto row = split_row(v.row(tokens.begin + visited_row(k, tokens.size(), direction)), states);
          for (int r = 0; r < count; ++r) {
            carried[r] = multiply_add(transition[r], carried[r], load_strip(lanes, row, i, r));
            store_planes(lanes, row, i + r * simd_width<S>, carried[r]);
          }
        }
        for (int r = 0; r < count; ++r) store_planes(lanes, state, i + r * simd_width<S>, carried[r]);
      });
}

/// The powers a^0 ... a^count [count + 1, 2 P].
template <Scalar S>
[[nodiscard]] S* powers_of(const Planes<const S*, 2>& a, Index states, Index count, Workspace& workspace) {
  S* table = workspace.take<S>((count + 1) * 2 * states);
  std::fill_n(table, states, S{1});
  std::fill_n(table + states, states, S{0});
  for (Index k = 0; k < count; ++k) {
    const auto from = split_row(table + k * 2 * states, states), to = split_row(table + (k + 1) * 2 * states, states);
    for_each_lanes<S>(states, [&](Index i, auto lanes) {
      store_planes(lanes, to, i, multiply(load_planes(lanes, a, i), load_planes(lanes, from, i)));
    });
  }
  return table;
}

/// What an incoming state adds to the rows of a chunk: a^(first + k) state to the k-th one visited.
template <Scalar S>
void add_incoming(S* powers, Index first, MatrixView<S> h, Direction direction, const Planes<S*, 2>& state) noexcept {
  const Index states = h.cols / 2;
  for (Index k = 0; k < h.rows; ++k) {
    const auto power = split_row(powers + (first + k) * 2 * states, states);
    const auto row = split_row(h.row(visited_row(k, h.rows, direction)), states);
    for_each_lanes<S>(states, [&](Index i, auto lanes) {
      store_planes(
          lanes, row, i,
          multiply_add(load_planes(lanes, power, i), load_planes(lanes, state, i), load_planes(lanes, row, i)));
    });
  }
}

template <class T>
void copy_planes(const Planes<T*, 2>& from, Index states, const Planes<std::remove_const_t<T>*, 2>& to) noexcept {
  for (std::size_t k = 0; k < 2; ++k) std::copy_n(from[k], states, to[k]);
}

template <class T>
[[nodiscard]] MatrixView<T> job_rows(const SequenceView<T>& sequence, const ScanJob& job) noexcept {
  return sequence.member(job.sequence).middle_rows(job.tokens.begin, job.tokens.size());
}

/// Slots for every chunk, a single one too: local scans leave something in each.
template <Scalar S>
[[nodiscard]] AffineSlots<S, 2> local_slots(const ScanGrid& grid, const ScanSchedule& schedule, Index states,
                                            const Planes<MatrixView<S>, 2>& start, Workspace& workspace) {
  const Index chunks = schedule.parallel ? std::max<Index>(chunk_count(grid.time, grid.chunk), 2) : 1;
  return {workspace, grid.sequences, chunks, states, states, start};
}

/// In a chunked schedule emit does all the work. In a parallel one summarise scans the chunk from the state 0, and emit
/// adds what the incoming state leaves behind, so that nothing is projected twice.
template <Scalar S, class Stored>
struct DiagonalMimoScan : InAffineSlots<DiagonalAffine<S, 2>, S, 2> {
  static constexpr bool keeps_local = true;
  using Monoid = DiagonalAffine<S, 2>;

  DiagonalMimo<S, Dynamic, Dynamic, Stored> system;
  SequenceView<const S> x;
  SequenceView<S> y;
  SequenceView<S> h;  ///< [batch, time, 2 P], unless only `scratch` is there
  ScanGrid grid;
  S* scratch = nullptr;  ///< the states of one chunk per worker
  S* powers = nullptr;   ///< parallel only

  [[nodiscard]] Index length(Index s) const noexcept { return x.length(s); }
  [[nodiscard]] Monoid monoid() const noexcept { return {system.states()}; }

  void summarise(const ScanJob& job, const typename Monoid::Element& element) const noexcept {
    const Index states = system.states();
    const MatrixView<S> rows = job_rows(h, job);
    monoid().identity(element);
    system.project(job_rows(x, job), rows);
    scan_states<S>(system.a, rows, grid.direction, element.b);
    copy_planes(split_row(powers + rows.rows * rows.cols, states), states, element.a);
  }

  void emit(const ScanJob& job, const Planes<S*, 2>& state) const noexcept {
    const Index width = 2 * system.states(), count = job.tokens.size();
    const MatrixView<S> rows =
        h.data != nullptr ? job_rows(h, job) : MatrixView<S>(scratch + job.worker * grid.chunk * width, count, width);
    if (powers == nullptr) {
      system.project(job_rows(x, job), rows);
      scan_states<S>(system.a, rows, grid.direction, state);
    } else {
      add_incoming(powers, 1, rows, grid.direction, state);
      copy_planes(split_row(rows.row(visited_row(count - 1, count, grid.direction)), width / 2), width / 2, state);
    }
    system.read(rows, job_rows(x, job), job_rows(y, job));
  }
};

}  // namespace detail

/// One token of every row: x and y [rows, features], states [rows, P], room [rows, 2 P]. `system` is a DiagonalMimo or
/// projects and reads as one.
template <Scalar S, class System>
void diagonal_mimo_step(const System& system, const Planes<MatrixView<S>, 2>& states, MatrixView<const S> x,
                        MatrixView<S> y, S* room) noexcept {
  const Index count = states[0].cols;
  const MatrixView<S> rows(room, Index{x.rows}, 2 * count);
  system.project(x, rows);
  for (Index r = 0; r < x.rows; ++r) {
    const Planes<S*, 2> h = row(states, r), v = detail::split_row(rows.row(r), count);
    for_each_lanes<S>(count, [&](Index i, auto lanes) {
      const auto next =
          multiply_add(load_planes(lanes, system.a, i), load_planes(lanes, h, i), load_planes(lanes, v, i));
      store_planes(lanes, h, i, next);
      store_planes(lanes, v, i, next);
    });
  }
  system.read(rows, x, y);
}

/// A whole sequence x to y [batch, time, features], from the states [batch, P] and into them; backwards, from the last
/// real token of each member to its first. `trace` takes all states [batch, time, 2 P] if it is there.
template <Scalar S, class Stored>
void diagonal_mimo_scan(const DiagonalMimo<S, Dynamic, Dynamic, Stored>& system, Direction direction,
                        const Planes<MatrixView<S>, 2>& states, SequenceView<const S> x, SequenceView<S> y,
                        const ScanSchedule& schedule, Workspace& workspace, SequenceView<S> trace = {}) {
  const Workspace::Scope scope(workspace);
  const Index width = 2 * system.states();
  const ScanGrid grid = detail::hoisted_affine_grid<S>(x.batch, x.time, width, 2 * x.features, schedule, direction);
  detail::DiagonalMimoScan<S, Stored> op{{}, system, x, y, trace, grid};
  op.slots = detail::local_slots<S>(grid, schedule, width / 2, states, workspace);
  if (schedule.parallel) {
    if (trace.data == nullptr) op.h = workspace.sequence<S>(x, Extent<Dynamic>(width));
    op.powers = detail::powers_of<S>(system.a, width / 2, grid.chunk, workspace);
  } else if (trace.data == nullptr) {
    op.scratch = workspace.take<S>(grid.workers * grid.chunk * width);
  }
  run_scan(op, grid, schedule);
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
