#pragma once

#include <stepscan/ops/dense_operators.hpp>

/// The impulse response of systems with any real transition matrix, without the skip, by rows of C taps:
///   K[m][r C + i] = (c[m] A^i) (A^(r C) b)
/// a product of [L / C, M] by [M, C] of vectors that the chunk operators are made of, too. No [L, M] temporary.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// One worker's memory.
struct DenseKernelRoom {
  DenseOperatorsRoom tables;
  double* starts;  ///< b^T (A^T)^(r C), [rows, M]
  double* inner;   ///< [M, C]
  double* taps;    ///< [rows, C]

  [[nodiscard]] static Index size(Index states, Index channels, Index length) noexcept {
    const Index rows = chunk_count(length, kernel_columns);
    return DenseOperatorsRoom::size(states, channels, kernel_columns) + rows * (states + kernel_columns) +
           states * kernel_columns;
  }
  DenseKernelRoom(Index states, Index channels, Index length, double* memory) noexcept
      : tables(states, channels, kernel_columns, memory),
        starts(memory + DenseOperatorsRoom::size(states, channels, kernel_columns)),
        inner(starts + chunk_count(length, kernel_columns) * states),
        taps(inner + states * kernel_columns) {}
};

inline void fill_kernel_starts(const DenseResponse& system, Index rows, const DenseKernelRoom& room) noexcept {
  const Index M = system.states;
  std::copy_n(system.b, M, room.starts);
  for (Index r = 1; r < rows; ++r) {
    small_multiply<double>(factor(MatrixView<const double>(room.starts + (r - 1) * M, 1, M)),
                           square(room.tables.product, M), {room.starts + r * M, 1, M});
  }
}

}  // namespace detail

/// response [features * channels, length]; make as in dense_chunk_system.
template <Scalar S, class Make>
void dense_kernel(const SystemShape& shape, MatrixView<S> response, Index system_size, Workspace& workspace,
                  const Make& make) {
  const Workspace::Scope scope(workspace);
  constexpr Index C = detail::kernel_columns;
  const Index M = shape.states, length = response.cols, rows = chunk_count(length, C);
  const Index own_size = detail::DenseKernelRoom::size(M, shape.channels, length), size = own_size + system_size;
  const Index workers = worker_count(shape.features, shape.features * (length + 8 * M * M) * M);
  double* rooms = workspace.take<double>(workers * size);
  detail::for_each_share(shape.features, workers, [&](Index f, Index worker) {
    double* own = rooms + worker * size;
    const DenseResponse system = make(f, own + own_size);
    const detail::DenseKernelRoom room(M, shape.channels, length, own);
    detail::fill_dense_tables(system, C, room.tables);
    detail::fill_kernel_starts(system, rows, room);
    for (Index m = 0; m < shape.channels; ++m) {
      transpose<double>({room.tables.outputs + m * (C + 1) * M, C, M}, {room.inner, M, C});
      small_multiply<double>(factor(MatrixView<const double>(room.starts, rows, M)), {room.inner, M, C},
                             {room.taps, rows, C});
      convert_row(room.taps, length, response.row(f * shape.channels + m));
    }
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
