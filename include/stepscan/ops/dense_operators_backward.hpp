#pragma once

#include <stepscan/ops/dense_operators.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Cotangents of one feature's system.
struct DenseCotangents {
  double* transposed;  ///< of A^T [M, M]
  double* b;           ///< [M]
  double* c;           ///< [channels, M]
  double* skip;        ///< [channels]
};

namespace detail {

/// One worker's memory beside the tables of the forward pass.
struct DensePullbackRoom {
  DenseCotangents sum;
  double* power;    ///< cotangent of (A^T)^C [M, M]
  double* scratch;  ///< [3, M, M]
  double* inputs;   ///< cotangents of b^T (A^T)^j [C, M]
  double* outputs;  ///< cotangents of c[m] A^i, i = 0 ... C, [C + 1, M]

  [[nodiscard]] static Index size(Index states, Index channels, Index chunk) noexcept {
    return 5 * states * states + (2 * chunk + 2 + channels) * states + channels;
  }
  DensePullbackRoom(Index states, Index channels, Index chunk, double* memory) noexcept
      : power(memory), scratch(power + states * states), inputs(scratch + 3 * states * states) {
    outputs = inputs + chunk * states;
    sum.transposed = outputs + (chunk + 1) * states;
    sum.b = sum.transposed + states * states;
    sum.c = sum.b + states;
    sum.skip = sum.c + channels * states;
    std::fill(sum.transposed, sum.skip + channels, 0.0);
  }
};

/// From the cotangent of X^C, X = A^T, to that of X. With the digits of C the power is X_1 X_2 X_4 ..., ascending:
///   dX_k = (product of those before)^T g,   g <- g X_k^T,   and from a square   dX_k += d(X_2k) X_k^T + X_k^T d(X_2k)
inline void pull_power(const DenseOperatorsRoom& tables, Index M, Index chunk, const DensePullbackRoom& room) noexcept {
  const Index size = M * M, digits = doublings(chunk);
  double* above = room.scratch;
  double* before = above + size;
  double* product = before + size;
  std::fill_n(above, size, 0.0);
  const auto is_set = [&](Index k) { return (chunk & (Index{1} << k)) != 0; };
  for (Index k = digits - 1; k >= 0; --k) {
    const double* power = tables.powers + k * size;
    transpose<double>(square(power, M), {tables.turned, M, M});
    small_multiply<double>(factor(square(above, M)), square(tables.turned, M), {product, M, M});
    small_multiply_add<double>(factor(square(tables.turned, M)), square(above, M), {product, M, M});
    std::copy_n(product, size, above);
    if (!is_set(k)) continue;
    bool empty = true;
    for (Index j = 0; j < k; ++j) {
      if (!is_set(j)) continue;
      if (empty) {
        std::copy_n(tables.powers + j * size, size, before);
      } else {
        small_multiply<double>(factor(square(before, M)), square(tables.powers + j * size, M), {product, M, M});
        std::copy_n(product, size, before);
      }
      empty = false;
    }
    if (empty) {
      for (Index i = 0; i < size; ++i) above[i] += room.power[i];
    } else {
      small_multiply_add<double>(transposed_factor(square(before, M)), square(room.power, M), {above, M, M});
      small_multiply<double>(factor(square(room.power, M)), square(tables.turned, M), {product, M, M});
      std::copy_n(product, size, room.power);
    }
  }
  for (Index i = 0; i < size; ++i) room.sum.transposed[i] += above[i];
}

/// From the cotangents of c A^i, i = 0 ... C, of channel m, to those of c and A^T.
inline void pull_outputs(const DenseResponse& system, Index m, Index chunk, const DenseOperatorsRoom& tables,
                         const DensePullbackRoom& room) noexcept {
  const Index M = system.states;
  const MatrixView<double> d(room.outputs, chunk + 1, M);
  for (Index i = chunk; i > 0; --i) {
    small_multiply_add<double>(factor(MatrixView<const double>(d.middle_rows(i, 1))), square(system.transposed, M),
                               d.middle_rows(i - 1, 1));
  }
  const MatrixView<const double> rows(tables.outputs + m * (chunk + 1) * M, chunk, M);
  small_multiply_add<double>(transposed_factor(MatrixView<const double>(d.middle_rows(1, chunk))), rows,
                             {room.sum.transposed, M, M});
  for (Index s = 0; s < M; ++s) room.sum.c[m * M + s] += d(0, s);
}

/// From the cotangents d of a feature's operators to those of its system.
template <Scalar S>
void dense_operators_backward(const DenseResponse& system, Index chunk, const ChunkOperators<const S>& d,
                              const DenseOperatorsRoom& tables, const DensePullbackRoom& room) noexcept {
  const Index M = system.states;
  fill_dense_tables(system, chunk, tables);
  for (Index j = 0; j < chunk; ++j) {
    for (Index s = 0; s < M; ++s) room.inputs[(chunk - 1 - j) * M + s] = static_cast<double>(d.write[j * M + s]);
  }
  for (Index m = 0; m < system.channels; ++m) {
    const S* dk = d.response + m * (2 * chunk - 1) + chunk - 1;
    for (Index l = 0; l < chunk; ++l) {
      const double tap = static_cast<double>(dk[l]);
      for (Index s = 0; s < M; ++s) {
        room.inputs[l * M + s] += tap * system.c[m * M + s];
        room.sum.c[m * M + s] += tap * tables.inputs[l * M + s];
      }
    }
    room.sum.skip[m] += static_cast<double>(dk[0]);
    std::fill_n(room.outputs, M, 0.0);
    for (Index i = 0; i < chunk; ++i) {
      for (Index s = 0; s < M; ++s) {
        room.outputs[(i + 1) * M + s] = static_cast<double>(d.read[(m * M + s) * chunk + i]);
      }
    }
    pull_outputs(system, m, chunk, tables, room);
  }
  transpose<double>(square(system.transposed, M), {tables.turned, M, M});
  const MatrixView<double> dinputs(room.inputs, chunk, M);
  for (Index k = chunk - 1; k > 0; --k) {
    small_multiply_add<double>(factor(MatrixView<const double>(dinputs.middle_rows(k, 1))), square(tables.turned, M),
                               dinputs.middle_rows(k - 1, 1));
  }
  small_multiply_add<double>(transposed_factor(MatrixView<const double>(tables.inputs, chunk - 1, M)),
                             dinputs.middle_rows(1, chunk - 1), {room.sum.transposed, M, M});
  for (Index s = 0; s < M; ++s) room.sum.b[s] += dinputs(0, s);
  for (Index i = 0; i < M * M; ++i) {
    room.sum.transposed[i] += static_cast<double>(d.advance[i]);
    room.power[i] = static_cast<double>(d.carry[i]);
  }
  pull_power(tables, M, chunk, room);
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
