#pragma once

#include <stepscan/ops/dense_chain.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Cotangents of a DenseResponse, added to; the skip's is written.
struct DenseResponseCotangent {
  double* A;     ///< [N, N]
  double* b;     ///< [N]
  double* c;     ///< [channels, N]
  double* skip;  ///< [channels]
};

/// From the cotangents d of a feature's operators to those of its system; room: twice dense_operators_room.
template <Scalar S>
void dense_operators_backward(const DenseResponse& system, const SystemShape& shape, const ChunkOperators<const S>& d,
                              const DenseResponseCotangent& gradient, double* room) noexcept {
  const Index C = shape.chunk, N = shape.states, size = dense_operators_room(shape);
  const detail::DenseChain chain(N, shape.channels, C, room), g(N, shape.channels, C, room + size);
  chain.fill(system);
  std::fill_n(room + size, size, 0.0);
  for (Index i = 0; i < N; ++i) {
    for (Index j = 0; j < N; ++j) {
      g.power(0)(j, i) += static_cast<double>(d.advance[i * N + j]);
      g.power(chain.levels())(j, i) += static_cast<double>(d.carry[i * N + j]);
    }
  }
  for (Index j = 0; j < C; ++j) {
    for (Index n = 0; n < N; ++n) g.inputs()(C - 1 - j, n) = static_cast<double>(d.write[j * N + n]);
  }
  for (Index m = 0; m < shape.channels; ++m) {
    const double* c = system.c + m * N;
    double* dc = gradient.c + m * N;
    for (Index l = 0; l < C; ++l) {
      const double dk = static_cast<double>(d.response[m * shape.response_size() + C - 1 + l]);
      if (l == 0) gradient.skip[m] = dk;
      for (Index n = 0; n < N; ++n) {
        g.inputs()(l, n) += dk * c[n];
        dc[n] += dk * chain.inputs()(l, n);
        g.outputs(m)(l, n) = static_cast<double>(d.read[(m * N + n) * C + l]);
      }
    }
  }
  chain.pull_back(g);
  for (Index m = 0; m < shape.channels; ++m) {
    // The first row is c A.
    const MatrixView<const double> first = g.outputs(m).middle_rows(0, 1);
    small_multiply_add<double>(factor(first), chain.transposed_power(0), {gradient.c + m * N, 1, N});
    small_multiply_add<double>(transposed_factor<double>(system.read().middle_rows(m, 1)), first, g.power(0));
  }
  for (Index i = 0; i < N * N; ++i) gradient.A[i] += g.power(0).data[i];
  for (Index n = 0; n < N; ++n) gradient.b[n] += g.inputs()(0, n);
}

}  // namespace stepscan::inline STEPSCAN_ISA
