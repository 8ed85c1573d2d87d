#pragma once

#include <cmath>
#include <numbers>
#include <stepscan/kernels/fft.hpp>
#include <stepscan/ops/dense_kernel.hpp>
#include <stepscan/ops/dplr_dense.hpp>
#include <stepscan/scan/planes.hpp>

/// The impulse response of a diagonal plus low rank system (S4, arXiv 2111.00396, appendix C.3) from its truncated
/// generating function at the roots of unity w = exp(-2 pi i k / L): with C~ = (I - A^L)^T C and the Cauchy sums
///   q(v) = h sum_n (v_n / (i tau - h lambda_n) + conj(v_n) / (i tau - h conj(lambda_n))),   tau = tan(pi k / L),
///   K^(w) = (1 + i tau) (q(C~ b) - q(C~ p) q(conj(p) b) / (1 + q(conj(p) p)))               (Woodbury)
/// and at w = -1 its limit 2 h Re sum_n C~_n b_n. One inverse real transform of length L gives K. In double.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// c becomes c - c A^length, C~ in real numbers.
inline void truncate_outputs(const DenseResponse& system, Index length, const DenseOperatorsRoom& tables,
                             double* c) noexcept {
  const Index M = system.states;
  fill_dense_tables(system, kernel_columns, tables);
  double* row = tables.outputs;  // free by now
  double* next = row + M;
  std::copy_n(c, M, row);
  const auto multiply = [&](Index times) {
    for (Index i = 0; i < times; ++i) {
      small_multiply<double>(factor(MatrixView<const double>(row, 1, M)), square(tables.turned, M), {next, 1, M});
      std::copy_n(next, M, row);
    }
  };
  transpose<double>(square(tables.product, M), {tables.turned, M, M});
  multiply(length / kernel_columns);
  transpose<double>(square(system.transposed, M), {tables.turned, M, M});
  multiply(length % kernel_columns);
  for (Index s = 0; s < M; ++s) c[s] -= row[s];
}

/// Numerators of q(v) of one mode: (a + i tau b) / ((i tau - l)(i tau - conj(l))), l = h lambda.
struct CauchyTerm {
  double a;
  double b;
  CauchyTerm(std::complex<double> v, std::complex<double> l) noexcept
      : a(-2 * (v * std::conj(l)).real()), b(2 * v.real()) {}
};

/// spectrum [L / 2 + 1] from C~ as it stands in `outputs`; tau [L / 2 + 1] holds the nodes.
template <class Mode>
void cauchy_spectrum(Index modes, double h, const Mode& mode, const double* outputs, Index length, const double* tau,
                     Planes<double*, 2> spectrum) noexcept {
  using V = Simd<double>;
  const Index bins = length / 2 + 1;
  for_each_lanes<double>(bins, [&](Index k, auto lanes) {
    const V node = lanes.load(tau + k);
    std::array<Planes<V, 2>, 4> sums;
    for (auto& sum : sums) sum = {V(0), V(0)};
    for (Index n = 0; n < modes; ++n) {
      const DplrMode at = mode(n);
      const std::complex<double> l = h * at.lambda, c(outputs[n] / 2, -outputs[modes + n] / 2);
      const V re = V(std::norm(l)) - node * node, im = V(-2 * l.real()) * node;
      const V scale = V(1) / fma(re, re, im * im);
      const V by_re = re * scale, by_im = V(0) - im * scale;
      const V node_re = node * by_re, node_im = node * by_im;
      const std::array<CauchyTerm, 4> terms{CauchyTerm(c * at.b, l), CauchyTerm(c * at.p, l),
                                            CauchyTerm(std::conj(at.p) * at.b, l), CauchyTerm(std::norm(at.p), l)};
      for (std::size_t i = 0; i < 4; ++i) {
        sums[i][0] = fma(V(terms[i].a), by_re, fnma(V(terms[i].b), node_im, sums[i][0]));
        sums[i][1] = fma(V(terms[i].a), by_im, fma(V(terms[i].b), node_re, sums[i][1]));
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
  double limit = 0;
  for (Index n = 0; n < modes; ++n) {
    limit += (std::complex<double>(outputs[n] / 2, -outputs[modes + n] / 2) * mode(n).b).real();
  }
  spectrum[0][bins - 1] = 2 * h * limit;
  spectrum[1][bins - 1] = 0;
}

/// One worker's memory for kernels of at least `wanted` taps: of a power of 2, which transforms like.
struct CauchyRoom {
  Index length;
  double* dense;    ///< a dense system
  double* tables;   ///< DenseOperatorsRoom
  double* outputs;  ///< C~ [M]
  double* re;       ///< [bins]
  double* im;
  std::complex<double>* spectrum;
  double* taps;  ///< [length]

  CauchyRoom(Index modes, Index wanted, Workspace& workspace) : length(convolution_length((wanted + 1) / 2)) {
    const Index bins = length / 2 + 1;
    dense = workspace.take<double>(dplr_dense_size(modes));
    tables = workspace.take<double>(DenseOperatorsRoom::size(2 * modes, 1, kernel_columns));
    outputs = workspace.take<double>(2 * modes);
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
  const DenseResponse system = dplr_dense(modes, h, 0, mode, room.dense);
  std::copy_n(system.c, 2 * modes, room.outputs);
  truncate_outputs(system, room.length, DenseOperatorsRoom(2 * modes, 1, kernel_columns, room.tables), room.outputs);
  cauchy_spectrum(modes, h, mode, room.outputs, room.length, tau, {room.re, room.im});
  for (Index k = 0; k < room.length / 2 + 1; ++k) room.spectrum[k] = {room.re[k], room.im[k]};
  inverse_real_fft(room.spectrum, room.length, room.taps);
  narrow_copy(room.taps, taps, response);
}

/// The nodes tan(pi k / L), k = 0 ... L / 2; at w = -1 any number, for its limit is taken.
inline void fill_cauchy_nodes(Index length, double* tau) noexcept {
  for (Index k = 0; k < length / 2 + 1; ++k) {
    tau[k] = 2 * k == length ? 0 : std::tan(std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
