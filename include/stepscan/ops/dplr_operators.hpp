#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/transpose.hpp>
#include <stepscan/ops/dplr_vectors.hpp>
#include <stepscan/scan/planes.hpp>

/// The chunk operators of diagonal plus low rank systems without powers of dense matrices: A = F - [d p] s^T takes O(M)
/// to apply to b, to c and to s, C times, and
///   A^C = F^C - sum_j F^(C - 1 - j) [d p] (s^T A^j)
/// is one product of [M, C] by [C, M]. In double.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// One worker's memory.
struct DplrOperatorsRoom {
  double* vectors;  ///< DplrVectors
  double* inputs;   ///< A^j b, j = 0 ... C, [C + 1, M]
  double* outputs;  ///< c A^i, i = 0 ... C
  double* along;    ///< s^T A^j, j = 0 ... C
  double* pushes;   ///< -F^(C - 1 - j) [d p], [C, M]
  double* power;    ///< F^C [M]
  double* carry;    ///< (A^C)^T [M, M]
  double* turned;   ///< [M, C]

  [[nodiscard]] static Index size(Index modes, Index chunk) noexcept {
    const Index M = 2 * modes;
    return DplrVectors::size(modes) + (5 * chunk + 4) * M + M * M;
  }
  DplrOperatorsRoom(Index modes, Index chunk, double* memory) noexcept
      : vectors(memory),
        inputs(vectors + DplrVectors::size(modes)),
        outputs(inputs + (chunk + 1) * 2 * modes),
        along(outputs + (chunk + 1) * 2 * modes),
        pushes(along + (chunk + 1) * 2 * modes),
        power(pushes + chunk * 2 * modes),
        carry(power + 2 * modes),
        turned(carry + 4 * modes * modes) {}
};

/// The tables of b, c and s: three chains that run beside each other.
inline void fill_dplr_tables(const DplrVectors& v, Index chunk, const DplrOperatorsRoom& room) noexcept {
  using V = Simd<double>;
  const Index M = 2 * v.modes;
  std::copy_n(v.b, M, room.inputs);
  std::copy_n(v.c, M, room.outputs);
  std::copy_n(v.along, M, room.along);
  double pulled = dot(v.along, v.b, M), read = dot(v.c, v.push, M), turned = dot(v.along, v.push, M);
  for (Index j = 0; j < chunk; ++j) {
    V sums[] = {V(0.0), V(0.0), V(0.0)};
    const Index at = j * M, next = at + M;
    for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
      sums[0] = dplr_move<Side::column>(lanes, v, n, V(pulled), room.inputs + at, room.inputs + next, sums[0]);
      sums[1] = dplr_move<Side::row>(lanes, v, n, V(read), room.outputs + at, room.outputs + next, sums[1]);
      sums[2] = dplr_move<Side::row>(lanes, v, n, V(turned), room.along + at, room.along + next, sums[2]);
    });
    pulled = sum(sums[0]);
    read = sum(sums[1]);
    turned = sum(sums[2]);
  }
}

/// The tables of the powers of F.
inline void fill_dplr_pushes(const DplrVectors& v, Index chunk, const DplrOperatorsRoom& room) noexcept {
  const auto planes = [&](auto* vector) { return Planes<decltype(vector), 2>{vector, vector + v.modes}; };
  for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
    const auto F = load_planes(lanes, planes(v.F), n);
    auto power = F, push = load_planes(lanes, planes(v.push), n);
    for (auto& plane : push) plane = Simd<double>(0) - plane;
    for (Index j = chunk - 1; j >= 0; --j) {
      store_planes(lanes, planes(room.pushes + 2 * j * v.modes), n, push);
      push = multiply(F, push);
      if (j > 0) power = multiply(F, power);
    }
    store_planes(lanes, planes(room.power), n, power);
  });
}

/// The operators of one feature.
template <Scalar S>
void dplr_operators(const DplrVectors& v, double skip, Index chunk, const ChunkOperators<S>& out,
                    const DplrOperatorsRoom& room) noexcept {
  const Index M = 2 * v.modes;
  fill_dplr_tables(v, chunk, room);
  fill_dplr_pushes(v, chunk, room);
  std::fill_n(out.response, chunk - 1, S{0});
  for (Index l = 0; l < chunk; ++l) {
    out.response[chunk - 1 + l] = static_cast<S>(dot(v.c, room.inputs + l * M, M) + (l == 0 ? skip : 0.0));
  }
  transpose<double>({room.outputs + M, chunk, M}, {room.turned, M, chunk});
  convert_row(room.turned, M * chunk, out.read);
  for (Index j = 0; j < chunk; ++j) convert_row(room.inputs + (chunk - 1 - j) * M, M, out.write + j * M);
  small_multiply<double>(transposed_factor(MatrixView<const double>(room.along, chunk, M)), {room.pushes, chunk, M},
                         {room.carry, M, M});
  add_block_diagonal(v.modes, room.power, room.carry);
  convert_row(room.carry, M * M, out.carry);
  dplr_transposed(v, room.carry);
  convert_row(room.carry, M * M, out.advance);
}

}  // namespace detail

/// The operators of all features, shape.features * shape.operators_size() numbers of memory. make(feature, to) writes
/// a feature's DplrVectors to `to` and returns them, skip(feature) is D; both run on threads.
template <Scalar S, class Make, class Skip>
[[nodiscard]] ChunkSystem<const S> dplr_chunk_system(const SystemShape& shape, S* memory, Workspace& workspace,
                                                     const Make& make, const Skip& skip) {
  const Workspace::Scope scope(workspace);
  const ChunkSystem<S> out{shape, memory};
  const Index modes = shape.states / 2, size = detail::DplrOperatorsRoom::size(modes, shape.chunk);
  const Index workers = worker_count(shape.features, shape.features * shape.chunk * shape.states * shape.states);
  double* rooms = workspace.take<double>(workers * size);
  detail::for_each_share(shape.features, workers, [&](Index f, Index worker) {
    const detail::DplrOperatorsRoom room(modes, shape.chunk, rooms + worker * size);
    detail::dplr_operators<S>(make(f, room.vectors), skip(f), shape.chunk, out.operators(f), room);
  });
  return {out.shape, out.memory};
}

}  // namespace stepscan::inline STEPSCAN_ISA
