#pragma once

#include <stepscan/ops/affine_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The cotangent m that enters token t from behind becomes conj(a_t) (dh_t + m): an affine scan from the last token to
/// the first, over the elements (conj(a_t), conj(a_t) dh_t).
template <Scalar S, std::size_t P>
struct DiagonalScanBackward : InAffineSlots<DiagonalAffine<S, P>, S, P> {
  static constexpr bool keeps_local = false;

  Planes<SequenceView<const S>, P> a;
  Planes<SequenceView<const S>, P> h;
  Planes<MatrixView<const S>, P> start;
  Planes<SequenceView<const S>, P> dh;
  Planes<SequenceView<S>, P> da;
  Planes<SequenceView<S>, P> dv;

  [[nodiscard]] Index length(Index s) const noexcept { return dh[0].length(s); }
  [[nodiscard]] DiagonalAffine<S, P> monoid() const noexcept { return {h[0].features}; }

  void summarise(const ScanJob& job, const typename DiagonalAffine<S, P>::Element& element) const noexcept {
    monoid().identity(element);
    for_each_strip<S, strip_registers<P>>(
        h[0].features, job.tokens, Direction::backward, [&](TokenRange tokens, Index i, auto count, auto lanes) {
          Planes<Simd<S>, P> product[count], sum[count];
          for (int r = 0; r < count; ++r) {
            product[r] = load_strip(lanes, element.a, i, r);
            sum[r] = load_strip(lanes, element.b, i, r);
          }
          for (Index t = tokens.end - 1; t >= tokens.begin; --t) {
            const auto at = token(a, job.sequence, t), dht = token(dh, job.sequence, t);
            for (int r = 0; r < count; ++r) {
              const auto step = conjugate(load_strip(lanes, at, i, r));
              product[r] = multiply(step, product[r]);
              sum[r] = multiply(step, add(sum[r], load_strip(lanes, dht, i, r)));
            }
          }
          for (int r = 0; r < count; ++r) {
            store_planes(lanes, element.a, i + r * simd_width<S>, product[r]);
            store_planes(lanes, element.b, i + r * simd_width<S>, sum[r]);
          }
        });
  }

  void emit(const ScanJob& job, const Planes<S*, P>& state) const noexcept {
    for_each_strip<S, strip_registers<P>>(
        h[0].features, job.tokens, Direction::backward, [&](TokenRange tokens, Index i, auto count, auto lanes) {
          Planes<Simd<S>, P> carried[count];
          for (int r = 0; r < count; ++r) carried[r] = load_strip(lanes, state, i, r);
          for (Index t = tokens.end - 1; t >= tokens.begin; --t) {
            const auto at = token(a, job.sequence, t), dht = token(dh, job.sequence, t);
            const auto before = t > 0 ? token(h, job.sequence, t - 1) : row(start, job.sequence);
            const auto dat = token(da, job.sequence, t), dvt = token(dv, job.sequence, t);
            for (int r = 0; r < count; ++r) {
              const Index to = i + r * simd_width<S>;
              const auto g = add(carried[r], load_strip(lanes, dht, i, r));
              store_planes(lanes, dat, to, multiply(g, conjugate(load_strip(lanes, before, i, r))));
              store_planes(lanes, dvt, to, g);
              carried[r] = multiply(conjugate(load_strip(lanes, at, i, r)), g);
            }
          }
          for (int r = 0; r < count; ++r) store_planes(lanes, state, i + r * simd_width<S>, carried[r]);
        });
  }
};

}  // namespace detail

/// The cotangents of affine_scan, from that of its outputs. h is the forward pass's output and `start` its initial
/// state; dstate holds the cotangent of the last state and then that of the initial state:
///   g_t = dh_t + conj(a_(t+1)) g_(t+1),   dv_t = g_t,   da_t = g_t conj(h_(t-1)),   dh_0 = conj(a_1) g_1
/// A complex cotangent is dL/dx + i dL/dy. In a ragged batch the lengths are those of dh, whose padding is not read; da
/// and dv are 0 there. Throws ShapeError when shapes differ.
template <Scalar S, std::size_t P>
void affine_scan_backward(const Planes<SequenceView<const S>, P>& a, const Planes<SequenceView<const S>, P>& h,
                          const Planes<MatrixView<const S>, P>& start, const Planes<SequenceView<const S>, P>& dh,
                          const Planes<MatrixView<S>, P>& dstate, const Planes<SequenceView<S>, P>& da,
                          const Planes<SequenceView<S>, P>& dv, const ScanSchedule& schedule, Workspace& workspace) {
  const Index size = dh[0].features, batch = dh[0].batch;
  detail::check_planes("a", a, size, dh);
  detail::check_planes("h", h, size, dh);
  detail::check_planes("da", da, size, dh);
  detail::check_planes("dv", dv, size, dh);
  detail::check_planes("an initial state", start, size, batch);
  detail::check_planes("a state cotangent", dstate, size, batch);
  const Workspace::Scope scope(workspace);
  constexpr Index planes = static_cast<Index>(P);
  const ScanGrid grid = detail::affine_grid<S>(batch, dh[0].time, 5 * planes * size, schedule, Direction::backward);
  const Index chunks = chunk_slots(grid, schedule);
  const AffineSlots<S, P> slots(workspace, grid.sequences, chunks, size, size, dstate);
  run_scan(detail::DiagonalScanBackward<S, P>{{slots}, a, h, start, dh, da, dv}, grid, schedule);
  detail::clear_padding(dh[0], da);
  detail::clear_padding(dh[0], dv);
}

/// The same for real numbers.
template <Scalar S>
void affine_scan_backward(SequenceView<const S> a, SequenceView<const S> h, MatrixView<const S> start,
                          SequenceView<const S> dh, MatrixView<S> dstate, SequenceView<S> da, SequenceView<S> dv,
                          const ScanSchedule& schedule, Workspace& workspace) {
  affine_scan_backward<S, 1>(Planes<SequenceView<const S>, 1>{a}, {h}, {start}, {dh}, {dstate}, {da}, {dv}, schedule,
                             workspace);
}

}  // namespace stepscan::inline STEPSCAN_ISA
