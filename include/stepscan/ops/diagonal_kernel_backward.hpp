#pragma once

#include <stepscan/ops/diagonal_kernel.hpp>
#include <stepscan/ops/diagonal_operators_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The backward pass of diagonal_kernel from the cotangent of kernel [features, L]. Calls pull_back(feature,
/// cotangents) for every feature.
template <Scalar S, class PullBack>
void diagonal_kernel_backward(const DiagonalSystem& system, MatrixView<const S> dkernel, Workspace& workspace,
                              const PullBack& pull_back) {
  using Room = detail::DiagonalKernelRoom<S>;
  using Complex = std::complex<double>;
  const Workspace::Scope scope(workspace);
  constexpr Index columns = detail::kernel_columns;
  const Index length = dkernel.cols, modes = system.modes, states = 2 * modes, rows = Room::rows(length);
  const Index sums = 3 * states, doubles = Room::doubles(modes, length) + sums;
  const Index scalars = Room::scalars(modes, length) + rows * (columns + states) + 2 * columns * states;
  const Index workers = worker_count(system.features, 2 * system.features * length * states);
  double* first = workspace.take<double>(workers * doubles);
  S* second = workspace.take<S>(workers * scalars);
  detail::for_each_share(system.features, workers, [&](Index f, Index worker) {
    const Room room(modes, first + worker * doubles, second + worker * scalars);
    double* total = first + worker * doubles + Room::doubles(modes, length);
    ModeCotangents g{{total, total + modes},
                     {total + states, total + states + modes},
                     {total + 2 * states, total + 2 * states + modes}};
    S* padded = second + worker * scalars + Room::scalars(modes, length);
    S* douter = padded + rows * columns;
    S* dinner = douter + rows * states;
    S* inner_transposed = dinner + states * columns;
    detail::fill_kernel_factors<S>(system, f, length, room);
    std::copy_n(dkernel.row(f), length, padded);
    std::fill(padded + length, padded + rows * columns, S{0});
    transpose<S>({room.inner, states, columns}, {inner_transposed, columns, states});
    const MatrixView<const S> dk(padded, rows, columns);
    small_multiply<S>(factor(dk), {inner_transposed, columns, states}, {douter, rows, states});
    small_multiply<S>(transposed_factor(MatrixView<const S>(room.outer, rows, states)), dk, {dinner, states, columns});
    for (Index n = 0; n < modes; ++n) {
      const auto power = [&](Index p) {
        return Complex(room.powers[p * states + n], room.powers[p * states + modes + n]);
      };
      const auto start = [&](Index r) {
        return Complex(room.starts[r * states + n], room.starts[r * states + modes + n]);
      };
      // backwards along the starts, then along the powers, the last of which leads from start to start
      Complex behind = 0, da = 0, dstride = 0;
      for (Index r = rows - 1; r >= 0; --r) {
        behind = std::conj(power(columns)) * behind;
        behind +=
            Complex(static_cast<double>(douter[r * states + n]), static_cast<double>(douter[r * states + modes + n]));
        if (r > 0) dstride += std::conj(start(r - 1)) * behind;
      }
      const Complex dstart = behind;
      behind = dstride;
      for (Index p = columns; p > 0; --p) {
        if (p < columns) {
          behind = std::conj(power(1)) * behind + Complex(static_cast<double>(dinner[n * columns + p]),
                                                          -static_cast<double>(dinner[(modes + n) * columns + p]));
        }
        da += std::conj(power(p - 1)) * behind;
      }
      const Index at = f * modes + n;
      const Complex c(system.c[0][at], system.c[1][at]);
      const Complex b = system.has_input() ? Complex(system.b[0][at], system.b[1][at]) : 1.0;
      const auto put = [&](const Planes<double*, 2>& to, Complex value) {
        to[0][n] = value.real();
        to[1][n] = value.imag();
      };
      put(g.a, da);
      put(g.c, std::conj(b) * dstart);
      put(g.b, std::conj(c) * dstart);
    }
    pull_back(f, g);
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
