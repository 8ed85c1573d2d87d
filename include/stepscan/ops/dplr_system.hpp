#pragma once

#include <complex>
#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/linear_system.hpp>
#include <stepscan/scan/executors.hpp>

/// Diagonal plus low rank systems of S4 (arXiv 2111.00396, appendix C.3), one per feature, A = diag(lambda) - p p^H in
/// conjugate pairs of which one each is kept, discretised by the bilinear rule: a step in O(N). With h = dt / 2,
///   m = 1 / (1 - h lambda),  F = (1 + h lambda) m,  d = h m,  <a, b> = 2 Re sum_n a[n] b[n],
///   kappa = <conj(p) d, p>,  r = 1 / (1 + kappa),  R = r conj(p) d,  G = r conj(p) F
///   alpha = <conj(p), x>,    beta = <G, x> - alpha r kappa + <R, 2 b> u
///   x' = F x - d p (alpha + beta) + 2 d b u,       y = <c, x'> + D u
/// which is x' = d (s - p <R, s>), s = (1 / h + lambda) x - p alpha + 2 b u, without the 1 / h.
namespace stepscan::inline STEPSCAN_ISA {

/// One mode of a feature.
struct DplrMode {
  std::complex<double> lambda;
  std::complex<double> p;
  std::complex<double> b;
  std::complex<double> c;
};

namespace detail {

/// What the equations above name, of one mode.
struct DplrTerms {
  std::complex<double> m;
  std::complex<double> F;
  std::complex<double> d;

  DplrTerms(std::complex<double> lambda, double h) noexcept
      : m(1.0 / (1.0 - h * lambda)), F((1.0 + h * lambda) * m), d(h * m) {}
};

/// Sums over the modes of a feature.
struct DplrSums {
  double kappa = 0;
  double r = 1;
  double sigma = 0;  ///< <R, 2 b>

  template <class Mode>
  DplrSums(Index modes, double h, const Mode& mode) noexcept {
    double through = 0;
    for (Index n = 0; n < modes; ++n) {
      const DplrMode at = mode(n);
      const DplrTerms t(at.lambda, h);
      kappa += 2 * std::norm(at.p) * t.d.real();
      through += 4 * (std::conj(at.p) * t.d * at.b).real();
    }
    r = 1 / (1 + kappa);
    sigma = r * through;
  }
};

/// Rows of numbers, one per channel, that a step of a mode takes.
inline constexpr Index dplr_rows = 12;

}  // namespace detail

/// What one token takes: per mode 12 rows of channels, then three of r kappa, <R, 2 b> and D.
template <Scalar S>
struct DplrStep {
  Index features = 0;  ///< and the distance of rows
  Index modes = 0;
  const S* rows = nullptr;

  [[nodiscard]] static constexpr Index row_count(Index modes) noexcept { return detail::dplr_rows * modes + 3; }
  [[nodiscard]] static constexpr Index size(Index features, Index modes) noexcept {
    return row_count(modes) * features;
  }

  /// From mode(feature, n), half_step(feature) and skip(feature).
  template <class Mode, class HalfStep, class Skip>
  [[nodiscard]] static DplrStep fill(Index features, Index modes, S* memory, const Mode& mode,
                                     const HalfStep& half_step, const Skip& skip) noexcept {
    for (Index f = 0; f < features; ++f) {
      const double h = half_step(f);
      const detail::DplrSums sums(modes, h, [&](Index n) { return mode(f, n); });
      S* to = memory + f;
      const auto put = [&](double value) {
        *to = static_cast<S>(value);
        to += features;
      };
      const auto put_complex = [&](std::complex<double> value) {
        put(value.real());
        put(value.imag());
      };
      for (Index n = 0; n < modes; ++n) {
        const DplrMode at = mode(f, n);
        const detail::DplrTerms t(at.lambda, h);
        put_complex(2.0 * at.p);                                       // alpha
        put_complex(2.0 * std::conj(sums.r * std::conj(at.p) * t.F));  // <G, x>
        put_complex(t.F);
        put_complex(t.d * at.p);
        put_complex(2.0 * t.d * at.b);
        put_complex(2.0 * std::conj(at.c));
      }
      put(sums.r * sums.kappa);
      put(sums.sigma);
      put(skip(f));
    }
    return {features, modes, memory};
  }
};

namespace detail {

/// One token of a register of channels.
template <Scalar S, class Lanes>
[[nodiscard, gnu::always_inline]] inline Simd<S> dplr_move(const Lanes& lanes, DplrStep<S> p, Index channel, S* h_re,
                                                           S* h_im, Simd<S> u) noexcept {
  const Index stride = p.features;
  Simd<S> alpha(S{0}), alpha_im(S{0}), beta(S{0}), beta_im(S{0});
  for (Index n = 0; n < p.modes; ++n) {
    const S* w = p.rows + n * dplr_rows * stride + channel;
    const Simd<S> re = lanes.load(h_re + n * stride + channel), im = lanes.load(h_im + n * stride + channel);
    alpha = fma(lanes.load(w), re, alpha);
    alpha_im = fma(lanes.load(w + stride), im, alpha_im);
    beta = fma(lanes.load(w + 2 * stride), re, beta);
    beta_im = fma(lanes.load(w + 3 * stride), im, beta_im);
  }
  const S* sums = p.rows + p.modes * dplr_rows * stride + channel;
  alpha = alpha + alpha_im;
  beta = fma(lanes.load(sums + stride), u, fnma(alpha, lanes.load(sums), beta + beta_im));
  const Simd<S> along_p = alpha + beta;
  Simd<S> y = lanes.load(sums + 2 * stride) * u;
  for (Index n = 0; n < p.modes; ++n) {
    const S* w = p.rows + (n * dplr_rows + 4) * stride + channel;
    S* to_re = h_re + n * stride + channel;
    S* to_im = h_im + n * stride + channel;
    const Simd<S> re = lanes.load(to_re), im = lanes.load(to_im);
    const Simd<S> F_re = lanes.load(w), F_im = lanes.load(w + stride);
    const Simd<S> in_re = fnma(lanes.load(w + 2 * stride), along_p, lanes.load(w + 4 * stride) * u);
    const Simd<S> in_im = fnma(lanes.load(w + 3 * stride), along_p, lanes.load(w + 5 * stride) * u);
    const Simd<S> next_re = fma(F_re, re, fnma(F_im, im, in_re));
    const Simd<S> next_im = fma(F_re, im, fma(F_im, re, in_im));
    lanes.store(to_re, next_re);
    lanes.store(to_im, next_im);
    y = fma(lanes.load(w + 6 * stride), next_re, fma(lanes.load(w + 7 * stride), next_im, y));
  }
  return y;
}

/// A sequence of the executors is one register of channels of one batch member.
template <Scalar S>
struct DplrRecurrence {
  static constexpr Index width = simd_width<S>;

  Index features;
  Index modes;
  Index strips;
  const S* weights;      ///< [strips, rows, width]
  MatrixView<S> states;  ///< [sequences, 2 * modes * width]
  SequenceView<const S> x;
  SequenceView<S> y;

  [[nodiscard]] Index length(Index s) const noexcept { return x.length(s / strips); }
  [[nodiscard]] S* state(Index s, Index) const noexcept { return states.row(s); }

  void emit(const ScanJob& job, S* h) const noexcept {
    const Index strip = job.sequence % strips, member = job.sequence / strips, first = strip * width;
    const PartialLanes<S> own{std::min(width, features - first)};
    const DplrStep<S> p{width, modes, weights + strip * DplrStep<S>::size(width, modes)};
    for (Index t = job.tokens.begin; t < job.tokens.end; ++t) {
      const Simd<S> u = own.load(x.token(member, t) + first);
      own.store(y.token(member, t) + first, dplr_move(FullLanes<S>(), p, 0, h, h + modes * width, u));
    }
  }
};

}  // namespace detail

/// One token of every batch member: x, y [batch, features], states [batch, modes, features].
template <Scalar S>
void system_step(const DplrStep<S>& p, MatrixView<const S> x, const SystemStates<S>& h, MatrixView<S> y) noexcept {
  for (Index b = 0; b < x.rows; ++b) {
    const Index at = b * p.modes * p.features;
    for_each_lanes<S>(
        p.features, [&](Index i, auto lanes) __attribute__((always_inline)) {
          lanes.store(y.row(b) + i,
                      detail::dplr_move(lanes, p, i, h.planes[0] + at, h.planes[1] + at, lanes.load(x.row(b) + i)));
        });
  }
}

/// Whole sequences, the same bits as steps. Registers of channels are spread over threads.
template <Scalar S>
void system_recurrence(const DplrStep<S>& p, SequenceView<const S> x, const SystemStates<S>& h, SequenceView<S> y,
                       Workspace& workspace) {
  constexpr Index width = simd_width<S>;
  const Workspace::Scope scope(workspace);
  const Index strips = (p.features + width - 1) / width, sequences = x.batch * strips;
  const Index rows = DplrStep<S>::row_count(p.modes), weights_size = DplrStep<S>::size(width, p.modes);
  S* weights = workspace.take<S>(strips * weights_size);
  std::fill_n(weights, strips * weights_size, S{0});
  const MatrixView<S> states = workspace.matrix<S, Dynamic>(sequences, 2 * p.modes * width);
  std::fill_n(states.data, sequences * states.cols, S{0});
  for (Index i = 0; i < strips; ++i) {
    const Index count = std::min(width, p.features - i * width);
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(p.rows + r * p.features + i * width, count, weights + i * weights_size + r * width);
    }
  }
  const auto for_each = [&](auto&& f) {
    for (Index s = 0; s < sequences; ++s) {
      const Index first = s % strips * width, count = std::min(width, p.features - first);
      for (Index n = 0; n < p.modes; ++n) {
        const Index at = (s / strips * p.modes + n) * p.features + first;
        f(h.planes[0] + at, states.row(s) + n * width, count);
        f(h.planes[1] + at, states.row(s) + (p.modes + n) * width, count);
      }
    }
  };
  for_each([](const S* state, S* to, Index count) { std::copy_n(state, count, to); });
  const ScanGrid grid{sequences, x.time, std::max<Index>(x.time, 1),
                      worker_count(sequences, 8 * x.batch * x.time * p.features * p.modes), Direction::forward};
  scan_chunked(detail::DplrRecurrence<S>{p.features, p.modes, strips, weights, states, x, y}, grid);
  for_each([](S* state, const S* from, Index count) { std::copy_n(from, count, state); });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
