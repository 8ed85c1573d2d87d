#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/tiling.hpp>
#include <stepscan/scan/affine.hpp>
#include <stepscan/scan/affine_slots.hpp>
#include <stepscan/scan/executors.hpp>

/// h_t = a_t h_(t-1) + v_t with a diagonal transition, real (P = 1) or complex (P = 2 planes: real and imaginary
/// parts). Backward: ops/affine_scan_backward.hpp; dense transitions: ops/affine_scan_dense.hpp.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Sequences are [batch, time, size], states [batch, size]; throws ShapeError, naming what is wrong.
template <class T, class U, std::size_t P>
void check_planes(const char* what, const Planes<SequenceView<T>, P>& x, Index size,
                  const Planes<SequenceView<U>, P>& like) {
  for (const auto& plane : x) {
    if (plane.features == size && plane.batch == like[0].batch && plane.time == like[0].time) continue;
    fail<ShapeError>(std::string("affine_scan: expected ") + what + " of shape " +
                     shape_text({like[0].batch, like[0].time, size}) + ", found " +
                     shape_text({plane.batch, plane.time, Index{plane.features}}));
  }
}
template <class T, std::size_t P>
void check_planes(const char* what, const Planes<MatrixView<T>, P>& x, Index size, Index batch) {
  for (const auto& plane : x) {
    if (plane.rows == batch && plane.cols == size) continue;
    fail<ShapeError>(std::string("affine_scan: expected ") + what + " of shape " + shape_text({batch, size}) +
                     ", found " + shape_text({Index{plane.rows}, Index{plane.cols}}));
  }
}

/// Clears the padding of every plane of y, whose real tokens are those of x.
template <class X, class Y, std::size_t P>
void clear_padding(const SequenceView<X>& x, const Planes<SequenceView<Y>, P>& y) noexcept {
  for (const auto& plane : y) stepscan::clear_padding(x, plane);
}

/// The chunks of an affine scan of `numbers` numbers per token. 0 tokens: as many as the second cache level holds when
/// they are spread over threads, all of them otherwise, for the carried state costs nothing.
template <Scalar S>
ScanGrid affine_grid(Index sequences, Index time, Index numbers, const ScanSchedule& schedule, Direction direction) {
  const Index chosen =
      schedule.parallel ? solve_hoisted_chunk(numbers * static_cast<Index>(sizeof(S))) : std::max<Index>(time, 1);
  const Index chunk = std::clamp<Index>(schedule.chunk > 0 ? schedule.chunk : chosen, 1, std::max<Index>(time, 1));
  const Index jobs = schedule.parallel ? sequences * chunk_count(time, chunk) : sequences;
  return {sequences, time, chunk, worker_count(jobs, sequences * time * numbers), direction};
}

/// The chunks of an affine scan before which the `inputs` of a token are multiplied to `width` numbers. 0 tokens: as
/// many as the cache holds the products of, few enough for a parallel scan to have chunks to spread.
template <Scalar S>
ScanGrid hoisted_affine_grid(Index sequences, Index time, Index width, Index inputs, const ScanSchedule& schedule,
                             Direction direction) {
  constexpr Index most_parallel = 64;
  const Index fitting = solve_hoisted_chunk(width * static_cast<Index>(sizeof(S)));
  const Index chosen = schedule.parallel ? std::min(fitting, most_parallel) : fitting;
  const Index chunk = schedule.chunk > 0 ? schedule.chunk : chosen;
  const Index jobs = schedule.parallel ? sequences * chunk_count(time, chunk) : sequences;
  return {sequences, time, std::max<Index>(std::min(chunk, time), 1),
          worker_count(jobs, sequences * time * width * inputs), direction};
}

/// Calls f(tokens, i, count, lanes) for strips of `count` registers beginning at feature i: R of them side by side,
/// whose chains of multiply-adds hide each other's latency, then one, then a part of one. A strip runs over all tokens
/// where rows are short; over a few at a time where they are long, so that memory is read in its own order, which
/// prefetchers and page tables are made for.
template <Scalar S, int R, class F>
[[gnu::always_inline]] inline void for_each_strip(Index n, TokenRange tokens, Direction direction, F&& f) noexcept {
  constexpr Index width = simd_width<S>, short_row = 512, few = 2;
  const Index run = n * static_cast<Index>(sizeof(S)) <= short_row ? tokens.size() : few;
  for (Index done = 0; done < tokens.size(); done += run) {
    const Index size = std::min(run, tokens.size() - done);
    const Index begin = direction == Direction::forward ? tokens.begin + done : tokens.end - done - size;
    const TokenRange part{begin, begin + size};
    Index i = 0;
    for (; i + R * width <= n; i += R * width) f(part, i, std::integral_constant<int, R>{}, FullLanes<S>{});
    for_each_lanes<S>(n - i, [&](Index u, auto lanes) { f(part, i + u, std::integral_constant<int, 1>{}, lanes); });
  }
}

template <std::size_t P>
inline constexpr int strip_registers = P == 1 ? 4 : 2;

/// Loads register r of a strip that begins at feature i.
template <class Lanes, class T, std::size_t P>
[[gnu::always_inline]] inline auto load_strip(const Lanes& lanes, const Planes<T*, P>& p, Index i, int r) noexcept {
  return load_planes(lanes, p, i + r * simd_width<std::remove_const_t<T>>);
}

template <Scalar S, std::size_t P>
struct DiagonalScan : InAffineSlots<DiagonalAffine<S, P>, S, P> {
  static constexpr bool keeps_local = false;

  Planes<SequenceView<const S>, P> a;
  Planes<SequenceView<const S>, P> v;
  Planes<SequenceView<S>, P> h;

  [[nodiscard]] Index length(Index s) const noexcept { return v[0].length(s); }
  [[nodiscard]] DiagonalAffine<S, P> monoid() const noexcept { return {h[0].features}; }

  void summarise(const ScanJob& job, const typename DiagonalAffine<S, P>::Element& element) const noexcept {
    monoid().identity(element);
    for_each_strip<S, strip_registers<P>>(h[0].features, job.tokens, Direction::forward,
                                          [&](TokenRange tokens, Index i, auto count, auto lanes) {
                                            Planes<Simd<S>, P> product[count], sum[count];
                                            for (int r = 0; r < count; ++r) {
                                              product[r] = load_strip(lanes, element.a, i, r);
                                              sum[r] = load_strip(lanes, element.b, i, r);
                                            }
                                            for (Index t = tokens.begin; t < tokens.end; ++t) {
                                              const auto at = token(a, job.sequence, t), vt = token(v, job.sequence, t);
                                              for (int r = 0; r < count; ++r) {
                                                const auto step = load_strip(lanes, at, i, r);
                                                product[r] = multiply(step, product[r]);
                                                sum[r] = multiply_add(step, sum[r], load_strip(lanes, vt, i, r));
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
        h[0].features, job.tokens, Direction::forward, [&](TokenRange tokens, Index i, auto count, auto lanes) {
          Planes<Simd<S>, P> carried[count];
          for (int r = 0; r < count; ++r) carried[r] = load_strip(lanes, state, i, r);
          for (Index t = tokens.begin; t < tokens.end; ++t) {
            const auto at = token(a, job.sequence, t), vt = token(v, job.sequence, t);
            const auto ht = token(h, job.sequence, t);
            for (int r = 0; r < count; ++r) {
              carried[r] = multiply_add(load_strip(lanes, at, i, r), carried[r], load_strip(lanes, vt, i, r));
              store_planes(lanes, ht, i + r * simd_width<S>, carried[r]);
            }
          }
          for (int r = 0; r < count; ++r) store_planes(lanes, state, i + r * simd_width<S>, carried[r]);
        });
  }
};

}  // namespace detail

/// h_t = a_t h_(t-1) + v_t, elementwise: a, v, h [batch, time, size]; state [batch, size] holds h_0 and then the last
/// h. The schedule says whether chunks run one after another or over threads. An `a` that does not change with time, or
/// with the batch member, is a view of stride 0. In a ragged batch the lengths are those of v; padding of h becomes 0.
/// Throws ShapeError when shapes differ.
template <Scalar S, std::size_t P>
void affine_scan(const Planes<SequenceView<const S>, P>& a, const Planes<SequenceView<const S>, P>& v,
                 const Planes<MatrixView<S>, P>& state, const Planes<SequenceView<S>, P>& h,
                 const ScanSchedule& schedule, Workspace& workspace) {
  const Index size = h[0].features;
  detail::check_planes("a", a, size, v);
  detail::check_planes("v", v, size, v);
  detail::check_planes("h", h, size, v);
  detail::check_planes("a state", state, size, v[0].batch);
  const Workspace::Scope scope(workspace);
  constexpr Index planes = static_cast<Index>(P);
  const ScanGrid grid = detail::affine_grid<S>(v[0].batch, v[0].time, 3 * planes * size, schedule, Direction::forward);
  const Index chunks = chunk_slots(grid, schedule);
  const AffineSlots<S, P> slots(workspace, grid.sequences, chunks, size, size, state);
  run_scan(detail::DiagonalScan<S, P>{{slots}, a, v, h}, grid, schedule);
  detail::clear_padding(v[0], h);
}

/// The same for real numbers.
template <Scalar S>
void affine_scan(SequenceView<const S> a, SequenceView<const S> v, MatrixView<S> state, SequenceView<S> h,
                 const ScanSchedule& schedule, Workspace& workspace) {
  affine_scan<S, 1>(Planes<SequenceView<const S>, 1>{a}, {v}, {state}, {h}, schedule, workspace);
}

}  // namespace stepscan::inline STEPSCAN_ISA
