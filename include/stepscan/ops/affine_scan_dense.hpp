#pragma once

#include <stepscan/ops/affine_scan.hpp>
#include <stepscan/scan/dense_affine.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Room for one element per worker, for a product that cannot be written over its operand.
template <Scalar S, std::size_t P>
class DenseScratch {
 public:
  using Element = typename DenseAffine<S, P>::Element;

  DenseScratch() = default;
  DenseScratch(Workspace& workspace, Index workers, const DenseAffine<S, P>& monoid)
      : a_size_(monoid.rows * monoid.rows),
        b_size_(monoid.rows * monoid.cols),
        memory_(workspace.take<S>(workers * stride())) {}

  [[nodiscard]] Element operator()(Index worker) const noexcept {
    Element e;
    for (std::size_t k = 0; k < P; ++k) {
      e.a[k] = memory_ + worker * stride() + static_cast<Index>(k) * (a_size_ + b_size_);
      e.b[k] = e.a[k] + a_size_;
    }
    return e;
  }

 private:
  [[nodiscard]] Index stride() const noexcept { return static_cast<Index>(P) * (a_size_ + b_size_); }

  Index a_size_ = 0;
  Index b_size_ = 0;
  S* memory_ = nullptr;
};

template <Scalar S, std::size_t P>
struct DenseScan : InAffineSlots<DenseAffine<S, P>, S, P> {
  static constexpr bool keeps_local = false;
  using Monoid = DenseAffine<S, P>;

  Monoid algebra;
  Planes<SequenceView<const S>, P> a;
  Planes<SequenceView<const S>, P> v;
  Planes<SequenceView<S>, P> h;
  DenseScratch<S, P> scratch;

  [[nodiscard]] Index length(Index s) const noexcept { return v[0].length(s); }
  [[nodiscard]] Monoid monoid() const noexcept { return algebra; }

  /// Starts in the one of two places from which the last product lands in `element`.
  void summarise(const ScanJob& job, const typename Monoid::Element& element) const noexcept {
    typename Monoid::Element now = element, next = scratch(job.worker);
    if (job.tokens.size() % 2 == 0) std::swap(now, next);
    const auto first_a = token(a, job.sequence, job.tokens.begin), first_v = token(v, job.sequence, job.tokens.begin);
    for (std::size_t k = 0; k < P; ++k) {
      std::copy_n(first_a[k], algebra.rows * algebra.rows, now.a[k]);
      std::copy_n(first_v[k], algebra.rows * algebra.cols, now.b[k]);
    }
    for (Index t = job.tokens.begin + 1; t < job.tokens.end; ++t) {
      algebra.combine(now, {token(a, job.sequence, t), token(v, job.sequence, t)}, next);
      std::swap(now, next);
    }
  }

  void emit(const ScanJob& job, const Planes<S*, P>& state) const noexcept {
    Planes<const S*, P> before = as_const_planes(state);
    for (Index t = job.tokens.begin; t < job.tokens.end; ++t) {
      const auto to = token(h, job.sequence, t);
      algebra.apply(token(a, job.sequence, t), before, token(v, job.sequence, t), to, algebra.cols);
      before = as_const_planes(to);
    }
    for (std::size_t k = 0; k < P; ++k) std::copy_n(before[k], algebra.rows * algebra.cols, state[k]);
  }
};

/// rows and cols of h, whose tokens have rows * cols numbers. Throws ShapeError.
template <Scalar S, std::size_t P>
DenseAffine<S, P> dense_algebra(Index rows, Index features) {
  if (rows <= 0 || features % rows != 0) {
    fail<ShapeError>("affine_scan_dense: expected tokens of h that hold a matrix of " + std::to_string(rows) +
                     " rows, found " + std::to_string(features) + " numbers");
  }
  return {rows, features / rows};
}

}  // namespace detail

/// h_t = A_t h_(t-1) + v_t with dense transitions: A [batch, time, rows * rows], v and h [batch, time, rows * cols],
/// state [batch, rows * cols], matrices row-major. Otherwise as affine_scan. A summary of a chunk costs rows / cols
/// times what its outputs cost, so the parallel schedule needs that many more threads to pay.
template <Scalar S, std::size_t P>
void affine_scan_dense(Index rows, const Planes<SequenceView<const S>, P>& a, const Planes<SequenceView<const S>, P>& v,
                       const Planes<MatrixView<S>, P>& state, const Planes<SequenceView<S>, P>& h,
                       const ScanSchedule& schedule, Workspace& workspace) {
  const Index size = h[0].features, batch = v[0].batch;
  const auto algebra = detail::dense_algebra<S, P>(rows, size);
  detail::check_planes("A", a, rows * rows, v);
  detail::check_planes("v", v, size, v);
  detail::check_planes("h", h, size, v);
  detail::check_planes("a state", state, size, batch);
  const Workspace::Scope scope(workspace);
  constexpr Index planes = static_cast<Index>(P);
  const Index numbers = planes * (rows * rows + 2 * size);
  const ScanGrid grid = detail::affine_grid<S>(batch, v[0].time, numbers, schedule, Direction::forward);
  const Index chunks = chunk_slots(grid, schedule);
  const AffineSlots<S, P> slots(workspace, batch, chunks, rows * rows, size, state);
  const detail::DenseScratch<S, P> scratch(workspace, grid.workers, algebra);
  run_scan(detail::DenseScan<S, P>{{slots}, algebra, a, v, h, scratch}, grid, schedule);
  detail::clear_padding(v[0], h);
}

/// The same for real numbers.
template <Scalar S>
void affine_scan_dense(Index rows, SequenceView<const S> a, SequenceView<const S> v, MatrixView<S> state,
                       SequenceView<S> h, const ScanSchedule& schedule, Workspace& workspace) {
  affine_scan_dense<S, 1>(rows, Planes<SequenceView<const S>, 1>{a}, {v}, {state}, {h}, schedule, workspace);
}

}  // namespace stepscan::inline STEPSCAN_ISA
