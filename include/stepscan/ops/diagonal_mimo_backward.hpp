#pragma once

#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/gemm.hpp>
#include <stepscan/ops/diagonal_mimo.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Cotangents of a DiagonalMimo, all added to; a null skip is not asked for.
template <Scalar S>
struct DiagonalMimoGradient {
  Planes<S*, 2> a;       ///< [P]
  MatrixView<S> input;   ///< [2 P, features]
  MatrixView<S> output;  ///< [features, 2 P]
  S* skip = nullptr;     ///< [features]
};

namespace detail {

/// The cotangents of the states of one chunk: with m what enters a token from behind,
///   g_t = C^H dy_t + m,   m = conj(a) g_t
/// over dh [tokens, 2 P] in place; `conjugate_a` is conj(a).
template <Scalar S>
void pull_states(const Planes<const S*, 2>& conjugate_a, MatrixView<S> dh, Direction direction,
                 const Planes<S*, 2>& m) noexcept {
  const Index states = dh.cols / 2;
  for_each_strip<S, strip_registers<2>>(
      states, {0, dh.rows}, direction, [&](TokenRange tokens, Index i, auto count, auto lanes) {
        Planes<Simd<S>, 2> transition[count], carried[count];
        for (int r = 0; r < count; ++r) {
          transition[r] = load_strip(lanes, conjugate_a, i, r);
          carried[r] = load_strip(lanes, m, i, r);
        }
        for (Index k = 0; k < tokens.size(); ++k) {
          const auto row = split_row(dh.row(tokens.begin + visited_row(k, tokens.size(), direction)), states);
          for (int r = 0; r < count; ++r) {
            const auto g = add(load_strip(lanes, row, i, r), carried[r]);
            store_planes(lanes, row, i + r * simd_width<S>, g);
            carried[r] = multiply(transition[r], g);
          }
        }
        for (int r = 0; r < count; ++r) store_planes(lanes, m, i + r * simd_width<S>, carried[r]);
      });
}

/// The adjoint system: its inputs are the cotangents of y, its outputs those of x. Scans against the direction of the
/// forward pass.
template <Scalar S>
struct DiagonalMimoBackward : InAffineSlots<DiagonalAffine<S, 2>, S, 2> {
  static constexpr bool keeps_local = true;
  using Monoid = DiagonalAffine<S, 2>;

  DiagonalMimo<S> adjoint;
  SequenceView<const S> h;
  Planes<MatrixView<const S>, 2> start;
  SequenceView<const S> dy;
  SequenceView<S> dx;
  SequenceView<S> g;
  ScanGrid grid;
  S* transitions = nullptr;  ///< cotangents of a from every chunk [sequences, chunks, 2 P]
  S* powers = nullptr;       ///< parallel only

  [[nodiscard]] Index length(Index s) const noexcept { return h.length(s); }
  [[nodiscard]] Monoid monoid() const noexcept { return {adjoint.states()}; }

  void summarise(const ScanJob& job, const typename Monoid::Element& element) const noexcept {
    const Index states = adjoint.states();
    const MatrixView<S> rows = job_rows(g, job);
    monoid().identity(element);
    adjoint.project(job_rows(dy, job), rows);
    pull_states<S>(adjoint.a, rows, grid.direction, element.b);
    copy_planes(split_row(powers + rows.rows * rows.cols, states), states, element.a);
  }

  void emit(const ScanJob& job, const Planes<S*, 2>& m) const noexcept {
    const Index states = adjoint.states(), count = job.tokens.size();
    const MatrixView<S> rows = job_rows(g, job);
    if (powers == nullptr) {
      adjoint.project(job_rows(dy, job), rows);
      pull_states<S>(adjoint.a, rows, grid.direction, m);
    } else {
      add_incoming(powers, 0, rows, grid.direction, m);
      const auto last = split_row(rows.row(visited_row(count - 1, count, grid.direction)), states);
      for_each_lanes<S>(states, [&](Index i, auto lanes) {
        store_planes(lanes, m, i, multiply(load_planes(lanes, adjoint.a, i), load_planes(lanes, last, i)));
      });
    }
    pull_transition(job, rows);
    adjoint.read(rows, job_rows(dy, job), job_rows(dx, job));
  }

  /// da = sum_t g_t conj(h_(t-1)) of one chunk.
  void pull_transition(const ScanJob& job, MatrixView<const S> rows) const noexcept {
    const Index states = adjoint.states(), chunks = chunk_count(grid.time, grid.chunk);
    const auto to = split_row(transitions + (job.sequence * chunks + job.position) * 2 * states, states);
    for (std::size_t k = 0; k < 2; ++k) std::fill_n(to[k], states, S{0});
    const Index back = grid.direction == Direction::backward ? -1 : 1;
    for (Index t = job.tokens.begin; t < job.tokens.end; ++t) {
      const Index earlier = t + back;
      const bool first = earlier < 0 || earlier >= length(job.sequence);
      const auto before = first ? row(start, job.sequence) : split_row(h.token(job.sequence, earlier), states);
      const auto gt = split_row(rows.row(t - job.tokens.begin), states);
      for_each_lanes<S>(states, [&](Index i, auto lanes) {
        store_planes(lanes, to, i,
                     multiply_add(load_planes(lanes, gt, i), conjugate(load_planes(lanes, before, i)),
                                  load_planes(lanes, to, i)));
      });
    }
  }

  void add_transitions(const Planes<S*, 2>& da) const noexcept {
    const Index states = adjoint.states(), chunks = chunk_count(grid.time, grid.chunk);
    for (Index s = 0; s < grid.sequences; ++s) {
      for (Index i = 0; i < chunk_count(length(s), grid.chunk); ++i) {
        const S* part = transitions + (s * chunks + i) * 2 * states;
        for (Index n = 0; n < states; ++n) {
          da[0][n] += part[n];
          da[1][n] += part[states + n];
        }
      }
    }
  }
};

/// Calls f(rows of a, rows of b) for the real tokens of all members, in one call where they lie one behind the other.
template <Scalar S, class F>
void for_each_token_matrix(const SequenceView<const S>& a, const SequenceView<const S>& b, F&& f) {
  const auto joins = [](const auto& s) { return !s.is_ragged() && s.batch_stride == s.time * s.time_stride; };
  if (a.batch > 0 && joins(a) && joins(b)) {
    f(MatrixView<const S>(a.data, a.batch * a.time, Index{a.features}, a.time_stride),
      MatrixView<const S>(b.data, a.batch * a.time, Index{b.features}, b.time_stride));
    return;
  }
  for (Index s = 0; s < a.batch; ++s) {
    f(MatrixView<const S>(a.member(s).middle_rows(0, a.length(s))),
      MatrixView<const S>(b.member(s).middle_rows(0, a.length(s))));
  }
}

}  // namespace detail

/// The backward pass of diagonal_mimo_scan in its `direction`. `adjoint` is the system with conj(a) for a, C^T for its
/// input and B^T for its output matrix; a null skip adds to dx. h is the trace of the forward pass, `start` its initial
/// states; dstates hold the cotangent of the last states and then that of the initial ones. A complex cotangent is
/// dL/dx + i dL/dy. The lengths are those of x.
template <Scalar S>
void diagonal_mimo_backward(const DiagonalMimo<S>& adjoint, Direction direction, SequenceView<const S> h,
                            const Planes<MatrixView<const S>, 2>& start, SequenceView<const S> x,
                            SequenceView<const S> dy, const Planes<MatrixView<S>, 2>& dstates, SequenceView<S> dx,
                            const DiagonalMimoGradient<S>& gradient, const ScanSchedule& schedule,
                            Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index states = adjoint.states(), width = 2 * states;
  const Direction back = direction == Direction::forward ? Direction::backward : Direction::forward;
  h.lengths = dy.lengths = x.lengths;
  h.start = dy.start = x.start;
  const ScanGrid grid = detail::hoisted_affine_grid<S>(x.batch, x.time, 2 * width, x.features, schedule, back);
  const SequenceView<S> dh = workspace.sequence<S>(x, Extent<Dynamic>(width));
  detail::DiagonalMimoBackward<S> op{{}, adjoint, h, start, dy, dx, dh, grid};
  op.slots = detail::local_slots<S>(grid, schedule, states, dstates, workspace);
  op.transitions = workspace.take<S>(x.batch * chunk_count(grid.time, grid.chunk) * width);
  if (schedule.parallel) op.powers = detail::powers_of<S>(adjoint.a, states, grid.chunk, workspace);
  run_scan(op, grid, schedule);
  clear_padding(x, dx);
  op.add_transitions(gradient.a);

  // The matrices in four parts, each the task of one thread, so that threads change no sum.
  const SequenceView<const S> g = op.g;
  const int threads = x.batch * x.time * width * x.features < shared_scan_size ? 1 : max_threads();
  parallel_for(4, threads, [&](Index task) {
    const Index first = task % 2 * states;
    const auto part = [&](const SequenceView<const S>& s) { return s.middle_features(first, Extent<Dynamic>(states)); };
    if (task < 2) {
      detail::for_each_token_matrix<S>(part(g), x, [&](auto cotangents, auto tokens) {
        if (tokens.rows > 0) gemm_add_left_transposed<S>(gradient.input.middle_rows(first, states), cotangents, tokens);
      });
    } else {
      detail::for_each_token_matrix<S>(dy, part(h), [&](auto cotangents, auto tokens) {
        if (tokens.rows > 0)
          gemm_add_left_transposed<S>(gradient.output.middle_cols(first, states), cotangents, tokens);
      });
    }
  });
  if (gradient.skip == nullptr) return;
  for (Index b = 0; b < x.batch; ++b) {
    for (Index t = 0; t < x.length(b); ++t) {
      for_each_lanes<S>(x.features, [&](Index i, auto lanes) {
        lanes.store(gradient.skip + i,
                    fma(lanes.load(dy.token(b, t) + i), lanes.load(x.token(b, t) + i), lanes.load(gradient.skip + i)));
      });
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
