#pragma once

#include <stepscan/ops/dplr_operators.hpp>

/// Against the direction of ops/dplr_operators.hpp, with its costs: from the cotangents of a feature's operators, or of
/// its impulse response, to those of its vectors. In double.
namespace stepscan::inline STEPSCAN_ISA::detail {

/// Against dplr_move: g is the cotangent of A x (or x A); adds to those of x and of the vectors.
template <Side side>
void dplr_pull(const DplrVectors& v, const double* x, const double* g, double* dx, const DplrVectors& d) noexcept {
  using V = Simd<double>;
  constexpr bool row = side == Side::row;
  const Index M = 2 * v.modes;
  const double *out = row ? v.along : v.push, *in = row ? v.push : v.along;
  double *dout = row ? d.along : d.push, *din = row ? d.push : d.along;
  const V by(dot(in, x, M)), pushed(dot(out, g, M));
  const auto add = [](auto lanes, double* to, V value) { lanes.store(to, lanes.load(to) + value); };
  for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
    const Index m = v.modes + n;
    const V F_re = lanes.load(v.F + n), F_im = row ? V(0) - lanes.load(v.F + m) : lanes.load(v.F + m);
    const V re = lanes.load(x + n), im = lanes.load(x + m), g_re = lanes.load(g + n), g_im = lanes.load(g + m);
    const V turned = fnma(im, g_re, re * g_im);
    add(lanes, d.F + n, fma(re, g_re, im * g_im));
    add(lanes, d.F + m, row ? V(0) - turned : turned);
    add(lanes, dx + n, fma(F_re, g_re, fnma(pushed, lanes.load(in + n), F_im * g_im)));
    add(lanes, dx + m, fma(F_re, g_im, V(0) - fma(F_im, g_re, pushed * lanes.load(in + m))));
    add(lanes, dout + n, V(0) - by * g_re);
    add(lanes, dout + m, V(0) - by * g_im);
    add(lanes, din + n, V(0) - pushed * re);
    add(lanes, din + m, V(0) - pushed * im);
  });
}

/// Against add_block_diagonal: adds to the cotangent of F from that of the matrix.
inline void pull_block_diagonal(Index modes, const double* d, double* dF) noexcept {
  const Index M = 2 * modes;
  for (Index j = 0; j < modes; ++j) {
    dF[j] += d[j * M + j] + d[(modes + j) * M + modes + j];
    dF[modes + j] += d[j * M + modes + j] - d[(modes + j) * M + j];
  }
}

/// Against dplr_transposed.
inline void pull_transposed(const DplrVectors& v, const double* dtransposed, const DplrVectors& d) noexcept {
  const Index M = 2 * v.modes;
  for (Index j = 0; j < M; ++j) {
    const double* row = dtransposed + j * M;
    d.along[j] -= dot(row, v.push, M);
    for (Index k = 0; k < M; ++k) d.push[k] -= v.along[j] * row[k];
  }
  pull_block_diagonal(v.modes, dtransposed, d.F);
}

/// One worker's memory beside DplrOperatorsRoom: cotangents of what that names, zero from the start where they are
/// added up.
struct DplrPullbackRoom {
  DplrVectors sum;
  double* skip;
  double* inputs;
  double* outputs;
  double* along;
  double* pushes;
  double* power;
  double* matrix;  ///< [M, M]
  double* turned;  ///< [M, max(M, C)]

  [[nodiscard]] static Index size(Index modes, Index chunk) noexcept {
    const Index M = 2 * modes;
    return DplrVectors::size(modes) + 1 + (4 * chunk + 4) * M + M * M + M * std::max(M, chunk);
  }
  DplrPullbackRoom(Index modes, Index chunk, double* memory) noexcept
      : sum(modes, memory), skip(memory + DplrVectors::size(modes)) {
    const Index M = 2 * modes, table = (chunk + 1) * M;
    inputs = skip + 1;
    outputs = inputs + table;
    along = outputs + table;
    pushes = along + table;
    power = pushes + chunk * M;
    matrix = power + M;
    turned = matrix + M * M;
    std::fill(memory, matrix, 0.0);
  }
};

/// Against fill_dplr_pushes: F^C and the pushes from their cotangents.
inline void pull_dplr_pushes(const DplrVectors& v, Index chunk, const DplrOperatorsRoom& tables,
                             const DplrPullbackRoom& room) noexcept {
  using Pair = Planes<Simd<double>, 2>;
  const auto planes = [&](auto* vector) { return Planes<decltype(vector), 2>{vector, vector + v.modes}; };
  const auto row_of = [&](double* table, Index j) { return planes(table + 2 * j * v.modes); };
  for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
    const Pair F = load_planes(lanes, planes(v.F), n);
    Pair dF = load_planes(lanes, planes(room.sum.F), n), before{Simd<double>(1), Simd<double>(0)};
    Pair g = load_planes(lanes, row_of(room.pushes, 0), n);
    for (Index j = 1; j < chunk; ++j) {  // pushes[j - 1] = F pushes[j]
      dF = add(dF, multiply(conjugate(load_planes(lanes, row_of(tables.pushes, j), n)), g));
      g = add(multiply(conjugate(F), g), load_planes(lanes, row_of(room.pushes, j), n));
      before = multiply(before, F);
    }
    for (auto& plane : before) plane = plane * Simd<double>(static_cast<double>(chunk));
    dF = add(dF, multiply(conjugate(before), load_planes(lanes, planes(room.power), n)));
    store_planes(lanes, planes(room.sum.F), n, dF);
    const Pair push = load_planes(lanes, planes(room.sum.push), n);
    store_planes(lanes, planes(room.sum.push), n, Pair{push[0] - g[0], push[1] - g[1]});
  });
}

/// From the cotangents of a feature's operators to room.sum and room.skip.
template <Scalar S>
void dplr_operators_backward(const DplrVectors& v, Index chunk, const ChunkOperators<const S>& d,
                             const DplrOperatorsRoom& tables, const DplrPullbackRoom& room) noexcept {
  const Index M = 2 * v.modes, C = chunk;
  fill_dplr_tables(v, C, tables);
  fill_dplr_pushes(v, C, tables);

  for (Index l = 0; l < C; ++l) {
    const double tap = static_cast<double>(d.response[C - 1 + l]);
    for (Index s = 0; s < M; ++s) {
      room.inputs[l * M + s] = static_cast<double>(d.write[(C - 1 - l) * M + s]) + tap * v.c[s];
      room.sum.c[s] += tap * tables.inputs[l * M + s];
    }
  }
  *room.skip += static_cast<double>(d.response[C - 1]);
  convert_row(d.read, M * C, room.turned);
  transpose<double>({room.turned, M, C}, {room.outputs + M, C, M});

  convert_row(d.carry, M * M, room.matrix);
  const MatrixView<const double> carry(room.matrix, M, M), turned(room.turned, M, M);
  transpose<double>(carry, {room.turned, M, M});
  small_multiply<double>(factor(MatrixView<const double>(tables.pushes, C, M)), turned, {room.along, C, M});
  small_multiply<double>(factor(MatrixView<const double>(tables.along, C, M)), carry, {room.pushes, C, M});
  pull_block_diagonal(v.modes, room.matrix, room.power);
  pull_dplr_pushes(v, C, tables, room);
  convert_row(d.advance, M * M, room.matrix);
  pull_transposed(v, room.matrix, room.sum);

  for (Index j = C - 1; j >= 0; --j) {
    const Index at = j * M, next = at + M;
    dplr_pull<Side::column>(v, tables.inputs + at, room.inputs + next, room.inputs + at, room.sum);
    dplr_pull<Side::row>(v, tables.outputs + at, room.outputs + next, room.outputs + at, room.sum);
    dplr_pull<Side::row>(v, tables.along + at, room.along + next, room.along + at, room.sum);
  }
  for (Index s = 0; s < M; ++s) {
    room.sum.b[s] += room.inputs[s];
    room.sum.c[s] += room.outputs[s];
    room.sum.along[s] += room.along[s];
  }
}

/// From the cotangent of K[l] = c A^l b, l = 0 ... length - 1, to room.sum; checkpoints holds [length / C, M]. Columns
/// between two checkpoints are worked out again.
template <Scalar S>
void dplr_kernel_backward(const DplrVectors& v, const S* dkernel, Index length, Index chunk, double* checkpoints,
                          const DplrOperatorsRoom& tables, const DplrPullbackRoom& room) noexcept {
  const Index M = 2 * v.modes, C = chunk, blocks = chunk_count(length, C);
  const auto fill_columns = [&](const double* start) {
    std::copy_n(start, M, tables.inputs);
    double along = dot(v.along, start, M);
    for (Index j = 0; j < C; ++j) {
      Simd<double> products(0.0);
      for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
        products = dplr_move<Side::column>(lanes, v, n, Simd<double>(along), tables.inputs + j * M,
                                           tables.inputs + (j + 1) * M, products);
      });
      along = sum(products);
    }
  };
  std::copy_n(v.b, M, checkpoints);
  for (Index r = 0; r + 1 < blocks; ++r) {
    fill_columns(checkpoints + r * M);
    std::copy_n(tables.inputs + C * M, M, checkpoints + (r + 1) * M);
  }
  double* g = room.inputs;  // cotangents of two neighbours, in turn
  double* before = g + M;
  for (Index r = blocks - 1; r >= 0; --r) {
    fill_columns(checkpoints + r * M);
    for (Index j = std::min(C, length - r * C) - 1; j >= 0; --j) {
      const double* column = tables.inputs + j * M;
      const double tap = static_cast<double>(dkernel[r * C + j]);
      for (Index s = 0; s < M; ++s) {
        before[s] = tap * v.c[s];
        room.sum.c[s] += tap * column[s];
      }
      dplr_pull<Side::column>(v, column, g, before, room.sum);
      std::swap(g, before);
    }
  }
  for (Index s = 0; s < M; ++s) room.sum.b[s] += g[s];
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
