#pragma once

#include <stepscan/ops/diagonal_operators.hpp>

/// The impulse response of diagonal systems, K[l] = Re sum_n c a^l b, l = 0 ... L - 1, without the skip. At r S + s
///   K[r S + s] = Re sum_n (c b a^(r S)) a^s
/// is a real product of [L / S, 2 N] by [2 N, S], both factors made of a few powers in double (S4D, arXiv 2206.11893,
/// equation 5, is the same sum with an exponential for each l and n).
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// One worker's memory: the factors in double and in S.
template <Scalar S>
struct DiagonalKernelRoom {
  double* powers;  ///< a^0 ... a^S, [S + 1, 2 modes]
  double* starts;  ///< c b a^(r S), [rows, 2 modes]
  S* inner;        ///< real parts and negative imaginary parts of a^s, [2 modes, S]
  S* outer;        ///< starts [rows, 2 modes]

  [[nodiscard]] static constexpr Index rows(Index length) noexcept { return chunk_count(length, kernel_columns); }
  [[nodiscard]] static Index doubles(Index modes, Index length) noexcept {
    return (kernel_columns + 1 + rows(length)) * 2 * modes;
  }
  [[nodiscard]] static Index scalars(Index modes, Index length) noexcept {
    return (kernel_columns + rows(length)) * 2 * modes;
  }
  DiagonalKernelRoom(Index modes, double* first, S* second) noexcept
      : powers(first),
        starts(first + (kernel_columns + 1) * 2 * modes),
        inner(second),
        outer(second + kernel_columns * 2 * modes) {}
};

/// The two factors of one feature.
template <Scalar S>
void fill_kernel_factors(const DiagonalSystem& system, Index feature, Index length,
                         const DiagonalKernelRoom<S>& room) noexcept {
  const Index modes = system.modes, states = 2 * modes, rows = DiagonalKernelRoom<S>::rows(length);
  const auto c = feature_row(system.c, modes, feature);
  fill_powers(feature_row(system.a, modes, feature), modes, kernel_columns, room.powers);
  const auto b =
      system.has_input() ? feature_row(system.b, modes, feature) : complex_row<const double>(room.powers, modes, 0);
  const auto stride = complex_row<const double>(room.powers, modes, kernel_columns);
  for_each_lanes<double>(modes, [&](Index n, auto lanes) {
    auto at = multiply(load_planes(lanes, c, n), load_planes(lanes, b, n));
    const auto step = load_planes(lanes, stride, n);
    for (Index r = 0; r < rows; ++r) {
      store_planes(lanes, complex_row(room.starts, modes, r), n, at);
      at = multiply(step, at);
    }
  });
  for (Index i = 0; i < rows * states; ++i) room.outer[i] = static_cast<S>(room.starts[i]);
  for (Index s = 0; s < kernel_columns; ++s) {
    const double* power = room.powers + s * states;
    for (Index n = 0; n < modes; ++n) {
      room.inner[n * kernel_columns + s] = static_cast<S>(power[n]);
      room.inner[(modes + n) * kernel_columns + s] = static_cast<S>(-power[modes + n]);
    }
  }
}

}  // namespace detail

/// kernel [features, L].
template <Scalar S>
void diagonal_kernel(const DiagonalSystem& system, MatrixView<S> kernel, Workspace& workspace) {
  using Room = detail::DiagonalKernelRoom<S>;
  const Workspace::Scope scope(workspace);
  const Index length = kernel.cols, states = 2 * system.modes, rows = Room::rows(length);
  const Index doubles = Room::doubles(system.modes, length), scalars = Room::scalars(system.modes, length);
  const Index workers = worker_count(system.features, system.features * length * states);
  double* first = workspace.take<double>(workers * doubles);
  S* second = workspace.take<S>(workers * scalars);
  detail::for_each_share(system.features, workers, [&](Index f, Index worker) {
    const Room room(system.modes, first + worker * doubles, second + worker * scalars);
    detail::fill_kernel_factors<S>(system, f, length, room);
    const Index whole = length / detail::kernel_columns;
    const MatrixView<const S> outer(room.outer, rows, states), inner(room.inner, states, detail::kernel_columns);
    small_multiply<S>(factor(outer.middle_rows(0, whole)), inner, {kernel.row(f), whole, detail::kernel_columns});
    const Index rest = length - whole * detail::kernel_columns;
    if (rest > 0) {
      small_multiply<S>(factor(outer.middle_rows(whole, 1)), inner.middle_cols(0, rest),
                        {kernel.row(f) + whole * detail::kernel_columns, 1, rest});
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
