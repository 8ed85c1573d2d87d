#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <numbers>
#include <stepscan/kernels/fft.hpp>
#include <stepscan/ops/dplr_operators.hpp>
#include <stepscan/scan/planes.hpp>

/// The impulse response of a diagonal plus low rank system (S4, arXiv 2111.00396, appendix C.3) from its truncated
/// generating function at the roots of unity w = exp(-2 pi i k / L): with C~ = (I - A^L)^T C and the Cauchy sums
///   q(v) = h sum_n (v_n / (i tau - h lambda_n) + conj(v_n) / (i tau - h conj(lambda_n))),   tau = tan(pi k / L),
///   K^(w) = (1 + i tau) (q(C~ b) - q(C~ p) q(conj(p) b) / (1 + q(conj(p) p)))               (Woodbury)
/// and at w = -1 its limit 2 h Re sum_n C~_n b_n. One inverse real transform of length L gives K. In double.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// C~ [M] in real numbers: c - c A^length; `room` holds 2 M.
inline void truncate_outputs(const DplrVectors& v, Index length, double* truncated, double* room) noexcept {
  const Index M = 2 * v.modes;
  std::copy_n(v.c, M, room);
  dplr_move_row(v, length, room, room + M);
  for (Index s = 0; s < M; ++s) truncated[s] = v.c[s] - room[s];
}

/// A mode's share of the four sums q(v), v = C~ b, C~ p, conj(p) b, conj(p) p:
///   (a + i tau b) / ((i tau - l)(i tau - conj(l))),   l = h lambda
struct CauchyTerms {
  double norm;     ///< |l|^2
  double damping;  ///< -2 Re l
  std::array<double, 4> a;
  std::array<double, 4> b;

  CauchyTerms(const DplrMode& at, std::complex<double> c, double h) noexcept {
    const std::complex<double> l = h * at.lambda;
    norm = std::norm(l);
    damping = -2 * l.real();
    const std::complex<double> v[] = {c * at.b, c * at.p, std::conj(at.p) * at.b, std::norm(at.p)};
    for (std::size_t i = 0; i < 4; ++i) {
      a[i] = -2 * (v[i] * std::conj(l)).real();
      b[i] = 2 * v[i].real();
    }
  }
};

/// spectrum [L / 2 + 1] from C~ as it stands in `outputs`; tau [L / 2 + 1] holds the nodes, `terms` is room for a
/// mode's each.
template <class Mode>
void cauchy_spectrum(Index modes, double h, const Mode& mode, const double* outputs, Index length, const double* tau,
                     CauchyTerms* terms, Planes<double*, 2> spectrum) noexcept {
  using V = Simd<double>;
  const Index bins = length / 2 + 1;
  double limit = 0;
  for (Index n = 0; n < modes; ++n) {
    const DplrMode at = mode(n);
    const std::complex<double> c(outputs[n] / 2, -outputs[modes + n] / 2);
    std::construct_at(terms + n, at, c, h);
    limit += (c * at.b).real();
  }
  for_each_lanes<double>(bins, [&](Index k, auto lanes) {
    const V node = lanes.load(tau + k), square = node * node;
    std::array<Planes<V, 2>, 4> sums;
    for (auto& sum : sums) sum = {V(0), V(0)};
    for (Index n = 0; n < modes; ++n) {
      const CauchyTerms& t = terms[n];
      const V re = V(t.norm) - square, im = V(t.damping) * node;
      const V scale = V(1) / fma(re, re, im * im);
      const V by_re = re * scale, by_im = V(0) - im * scale;
      const V node_re = node * by_re, node_im = node * by_im;
      for (std::size_t i = 0; i < 4; ++i) {
        sums[i][0] = fma(V(t.a[i]), by_re, fnma(V(t.b[i]), node_im, sums[i][0]));
        sums[i][1] = fma(V(t.a[i]), by_im, fma(V(t.b[i]), node_re, sums[i][1]));
      }
    }
    for (auto& sum : sums) sum = {sum[0] * V(h), sum[1] * V(h)};
    const V below_re = V(1) + sums[3][0], below_im = sums[3][1];
    const V scale = V(1) / fma(below_re, below_re, below_im * below_im);
    const Planes<V, 2> product = multiply(sums[1], sums[2]);
    const V woodbury_re = fma(product[0], below_re, product[1] * below_im) * scale;
    const V woodbury_im = fnma(product[0], below_im, product[1] * below_re) * scale;
    const V value_re = sums[0][0] - woodbury_re, value_im = sums[0][1] - woodbury_im;
    lanes.store(spectrum[0] + k, fnma(node, value_im, value_re));
    lanes.store(spectrum[1] + k, fma(node, value_re, value_im));
  });
  if (length % 2 != 0) return;
  spectrum[0][bins - 1] = 2 * h * limit;
  spectrum[1][bins - 1] = 0;
}

/// One worker's memory for kernels of at least `wanted` taps: of a power of 2, which transforms like.
struct CauchyRoom {
  Index length;
  double* vectors;  ///< DplrVectors
  double* outputs;  ///< C~ [M]
  double* scratch;  ///< of truncate_outputs
  CauchyTerms* terms;
  double* re;  ///< [bins]
  double* im;
  std::complex<double>* spectrum;
  double* taps;  ///< [length]

  CauchyRoom(Index modes, Index wanted, Workspace& workspace)
      : length(static_cast<Index>(std::bit_ceil(static_cast<std::size_t>(std::max<Index>(wanted, 4))))) {
    const Index bins = length / 2 + 1;
    vectors = workspace.take<double>(DplrVectors::size(modes));
    outputs = workspace.take<double>(2 * modes);
    scratch = workspace.take<double>(4 * modes);
    terms = workspace.take<CauchyTerms>(modes);
    re = workspace.take<double>(bins);
    im = workspace.take<double>(bins);
    spectrum = workspace.take<std::complex<double>>(bins);
    taps = workspace.take<double>(length);
  }
};

/// response [L] of one feature. A step too short to move anything gives nothing.
template <Scalar S, class Mode>
void cauchy_kernel(Index modes, double h, const Mode& mode, const double* tau, const CauchyRoom& room, S* response,
                   Index taps) {
  constexpr double no_step = 1e-100;
  if (h < no_step) {
    std::fill_n(response, taps, S{0});
    return;
  }
  truncate_outputs(DplrVectors(modes, h, mode, room.vectors), room.length, room.outputs, room.scratch);
  cauchy_spectrum(modes, h, mode, room.outputs, room.length, tau, room.terms, {room.re, room.im});
  for (Index k = 0; k < room.length / 2 + 1; ++k) room.spectrum[k] = {room.re[k], room.im[k]};
  inverse_real_fft(room.spectrum, room.length, room.taps);
  convert_row(room.taps, taps, response);
}

/// The nodes tan(pi k / L), k = 0 ... L / 2; at w = -1 any number, for its limit is taken.
inline void fill_cauchy_nodes(Index length, double* tau) noexcept {
  for (Index k = 0; k < length / 2 + 1; ++k) {
    tau[k] = 2 * k == length ? 0 : std::tan(std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
