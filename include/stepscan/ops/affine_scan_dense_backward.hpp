#pragma once

#include <stepscan/ops/affine_scan_dense.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The cotangent m that enters token t from behind becomes A_t^H (dh_t + m).
template <Scalar S, std::size_t P>
struct DenseScanBackward : InAffineSlots<DenseAffine<S, P>, S, P> {
  static constexpr bool keeps_local = false;
  using Monoid = DenseAffine<S, P>;

  Monoid algebra;
  Planes<SequenceView<const S>, P> a;
  Planes<SequenceView<const S>, P> h;
  Planes<MatrixView<const S>, P> start;
  Planes<SequenceView<const S>, P> dh;
  Planes<SequenceView<S>, P> da;
  Planes<SequenceView<S>, P> dv;
  DenseScratch<S, P> scratch;

  [[nodiscard]] Index length(Index s) const noexcept { return dh[0].length(s); }
  [[nodiscard]] Monoid monoid() const noexcept { return algebra; }

  /// Element (B, c) of the tokens behind, then token t: (A_t^H B, A_t^H (c + dh_t)).
  void summarise(const ScanJob& job, const typename Monoid::Element& element) const noexcept {
    typename Monoid::Element now = element, next = scratch(job.worker);
    if (job.tokens.size() % 2 == 1) std::swap(now, next);
    algebra.identity(now);
    for (Index t = job.tokens.end - 1; t >= job.tokens.begin; --t) {
      const auto at = token(a, job.sequence, t);
      add_to(token(dh, job.sequence, t), now.b);
      algebra.template apply<true>(at, as_const_planes(now.a), {}, next.a, algebra.rows);
      algebra.template apply<true>(at, as_const_planes(now.b), {}, next.b, algebra.cols);
      std::swap(now, next);
    }
  }

  void emit(const ScanJob& job, const Planes<S*, P>& state) const noexcept {
    for (Index t = job.tokens.end - 1; t >= job.tokens.begin; --t) {
      const auto g = token(dv, job.sequence, t);
      for (std::size_t k = 0; k < P; ++k) std::copy_n(state[k], size(), g[k]);
      add_to(token(dh, job.sequence, t), g);
      outer(g, t > 0 ? token(h, job.sequence, t - 1) : row(start, job.sequence), token(da, job.sequence, t));
      algebra.template apply<true>(token(a, job.sequence, t), as_const_planes(g), {}, state, algebra.cols);
    }
  }

 private:
  [[nodiscard]] Index size() const noexcept { return algebra.rows * algebra.cols; }

  void add_to(const Planes<const S*, P>& x, const Planes<S*, P>& y) const noexcept {
    for (std::size_t k = 0; k < P; ++k) add_scaled(S{1}, x[k], y[k], size());
  }

  /// da = g h^H
  void outer(const Planes<S*, P>& g, const Planes<const S*, P>& before, const Planes<S*, P>& to) const noexcept {
    const Index n = algebra.rows, m = algebra.cols;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) {
        S* const* out = to.data();
        out[0][i * n + j] = dot(g[0] + i * m, before[0] + j * m, m);
        if constexpr (P == 2) {
          out[0][i * n + j] += dot(g[1] + i * m, before[1] + j * m, m);
          out[1][i * n + j] = dot(g[1] + i * m, before[0] + j * m, m) - dot(g[0] + i * m, before[1] + j * m, m);
        }
      }
    }
  }
};

}  // namespace detail

/// The cotangents of affine_scan_dense, in the way of affine_scan_backward:
///   g_t = dh_t + A_(t+1)^H g_(t+1),   dv_t = g_t,   dA_t = g_t h_(t-1)^H,   dh_0 = A_1^H g_1
template <Scalar S, std::size_t P>
void affine_scan_dense_backward(Index rows, const Planes<SequenceView<const S>, P>& a,
                                const Planes<SequenceView<const S>, P>& h, const Planes<MatrixView<const S>, P>& start,
                                const Planes<SequenceView<const S>, P>& dh, const Planes<MatrixView<S>, P>& dstate,
                                const Planes<SequenceView<S>, P>& da, const Planes<SequenceView<S>, P>& dv,
                                const ScanSchedule& schedule, Workspace& workspace) {
  const Index size = dh[0].features, batch = dh[0].batch;
  const auto algebra = detail::dense_algebra<S, P>(rows, size);
  detail::check_planes("A", a, rows * rows, dh);
  detail::check_planes("h", h, size, dh);
  detail::check_planes("dA", da, rows * rows, dh);
  detail::check_planes("dv", dv, size, dh);
  detail::check_planes("an initial state", start, size, batch);
  detail::check_planes("a state cotangent", dstate, size, batch);
  const Workspace::Scope scope(workspace);
  constexpr Index planes = static_cast<Index>(P);
  const Index numbers = planes * (2 * rows * rows + 3 * size);
  const ScanGrid grid = detail::affine_grid<S>(batch, dh[0].time, numbers, schedule, Direction::backward);
  const Index chunks = chunk_slots(grid, schedule);
  const AffineSlots<S, P> slots(workspace, batch, chunks, rows * rows, size, dstate);
  const detail::DenseScratch<S, P> scratch(workspace, grid.workers, algebra);
  run_scan(detail::DenseScanBackward<S, P>{{slots}, algebra, a, h, start, dh, da, dv, scratch}, grid, schedule);
  detail::clear_padding(dh[0], da);
  detail::clear_padding(dh[0], dv);
}

/// The same for real numbers.
template <Scalar S>
void affine_scan_dense_backward(Index rows, SequenceView<const S> a, SequenceView<const S> h, MatrixView<const S> start,
                                SequenceView<const S> dh, MatrixView<S> dstate, SequenceView<S> da, SequenceView<S> dv,
                                const ScanSchedule& schedule, Workspace& workspace) {
  affine_scan_dense_backward<S, 1>(rows, Planes<SequenceView<const S>, 1>{a}, {h}, {start}, {dh}, {dstate}, {da}, {dv},
                                   schedule, workspace);
}

}  // namespace stepscan::inline STEPSCAN_ISA
