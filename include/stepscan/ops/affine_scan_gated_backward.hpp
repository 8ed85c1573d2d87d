#pragma once

#include <stepscan/core/threads.hpp>
#include <stepscan/kernels/gemm.hpp>
#include <stepscan/ops/affine_scan_gated.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The cotangent m that enters token t from behind becomes decay_t (dy_t + m). A chunk's cotangents of pre-activations
/// are multiplied back to those of its inputs while they are in the cache.
template <class Cell, Scalar S>
struct GatedAffineBackward : InAffineSlots<DiagonalAffine<S>, S, 1> {
  static constexpr bool keeps_local = false;

  PanelsView<S> transposed;  ///< W^T [inputs, gates * hidden]
  const S* zeros;            ///< [inputs]
  GatedAffineTrace<S> trace;
  MatrixView<const S> start;
  SequenceView<const S> dy;
  SequenceView<S> dpre;
  SequenceView<S> dx;

  [[nodiscard]] Index length(Index s) const noexcept { return dpre.length(s); }
  [[nodiscard]] DiagonalAffine<S> monoid() const noexcept { return {trace.h.features}; }

  void summarise(const ScanJob& job, const typename DiagonalAffine<S>::Element& element) const noexcept {
    const Index hidden = trace.h.features;
    monoid().identity(element);
    for (Index t = job.tokens.end - 1; t >= job.tokens.begin; --t) {
      const S* pre = trace.pre.token(job.sequence, t);
      const S* dyt = dy.token(job.sequence, t);
      for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
        const Simd<S> decay = Cell::decay(load_pre_activations<Cell>(pre, hidden, u, lanes));
        lanes.store(element.a[0] + u, decay * lanes.load(element.a[0] + u));
        lanes.store(element.b[0] + u, decay * (lanes.load(element.b[0] + u) + lanes.load(dyt + u)));
      });
    }
  }

  void emit(const ScanJob& job, const Planes<S*, 1>& state) const noexcept {
    const Index hidden = trace.h.features;
    for (Index t = job.tokens.end - 1; t >= job.tokens.begin; --t) {
      const S* pre = trace.pre.token(job.sequence, t);
      const S* before = t > 0 ? trace.h.token(job.sequence, t - 1) : start.row(job.sequence);
      const S* dyt = dy.token(job.sequence, t);
      S* out = dpre.token(job.sequence, t);
      for_each_lanes<S>(hidden, [&](Index u, auto lanes) {
        const auto a = load_pre_activations<Cell>(pre, hidden, u, lanes);
        const Simd<S> g = lanes.load(state[0] + u) + lanes.load(dyt + u);
        std::array<Simd<S>, Cell::gates> da;
        Cell::pull_back(a, {g * lanes.load(before + u), g}, da);
        for (std::size_t k = 0; k < Cell::gates; ++k) lanes.store(out + static_cast<Index>(k) * hidden + u, da[k]);
        lanes.store(state[0] + u, g * Cell::decay(a));
      });
    }
    const Index first = job.tokens.begin, count = job.tokens.size();
    transposed.multiply(dpre.member(job.sequence).middle_rows(first, count), {zeros, count, Index{dx.features}, 0},
                        dx.member(job.sequence).middle_rows(first, count));
  }
};

}  // namespace detail

/// The backward pass of gated_affine_scan. trace and `start` are its pre-activations, outputs and initial state; dh
/// holds the cotangent of the last state and then that of the initial state; dpre [batch, time, gates * hidden] is room
/// for the cotangents of the pre-activations. Adds dW = sum_t dpre_t x_t^T and db = sum_t dpre_t to the gradients,
/// writes dx.
template <class Cell, Scalar S>
void gated_affine_backward(MatrixView<const S> weight, const GatedAffineTrace<S>& trace, MatrixView<const S> start,
                           SequenceView<const S> x, SequenceView<const S> dy, MatrixView<S> dh, SequenceView<S> dpre,
                           SequenceView<S> dx, MatrixView<S> dweight, S* dbias, const ScanSchedule& schedule,
                           Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index width = weight.rows, inputs = weight.cols, hidden = dh.cols;
  const PanelsView<S> transposed = packed_transpose<S>(weight, workspace);
  S* zeros = workspace.take<S>(inputs);
  std::fill_n(zeros, inputs, S{0});
  dpre.lengths = x.lengths;
  dpre.start = x.start;
  const ScanGrid grid =
      detail::hoisted_affine_grid<S>(x.batch, x.time, 2 * width, inputs, schedule, Direction::backward);
  const Index chunks = chunk_slots(grid, schedule);
  const AffineSlots<S, 1> slots(workspace, x.batch, chunks, hidden, hidden, {dh});
  run_scan(detail::GatedAffineBackward<Cell, S>{{slots}, transposed, zeros, trace, start, dy, dpre, dx}, grid,
           schedule);
  clear_padding(x, dx);

  // One product for all tokens where they lie one behind the other, otherwise one per batch member; each gate's share
  // of the weights is a task of its own, so that threads change no sum.
  const bool joined = !x.is_ragged() && (x.batch == 1 || x.batch_stride == x.time * x.time_stride);
  const int threads = x.batch * x.time * width * inputs < shared_scan_size ? 1 : max_threads();
  parallel_for(static_cast<Index>(Cell::gates), threads, [&](Index g) {
    const auto add = [&](MatrixView<const S> tokens, MatrixView<const S> cotangents) {
      if (tokens.rows == 0) return;
      const MatrixView<const S> own = cotangents.middle_cols(g * hidden, hidden);
      gemm_add_left_transposed<S>(dweight.middle_rows(g * hidden, hidden), own, tokens);
      add_rows_to<S>(own, dbias + g * hidden);
    };
    if (joined) {
      add({x.data, x.batch * x.time, inputs, x.time_stride}, {dpre.data, x.batch * x.time, width, dpre.time_stride});
      return;
    }
    for (Index b = 0; b < x.batch; ++b) {
      add(x.member(b).middle_rows(0, x.length(b)), dpre.member(b).middle_rows(0, x.length(b)));
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
