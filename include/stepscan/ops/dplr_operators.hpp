#pragma once

#include <stepscan/ops/dplr_dense.hpp>

/// The chunk operators of diagonal plus low rank systems without powers of dense matrices: A = F - [d p] s^T takes O(M)
/// to apply to b, to c and to s, C times, and
///   A^C = F^C - sum_j F^(C - 1 - j) [d p] (s^T A^j)
/// is one product of [M, C] by [C, M]. In double.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// to = row A, of a row of M numbers; `along_row` is row [d p] of it, and of `to` in the end.
template <class Lanes>
[[gnu::always_inline]] inline Simd<double> move_row(const Lanes& lanes, const DplrVectors& v, Index n,
                                                    Simd<double> pushed, const double* row, double* to,
                                                    Simd<double> sum) noexcept {
  const Index m = v.modes + n;
  const Simd<double> F_re = lanes.load(v.F + n), F_im = lanes.load(v.F + m);
  const Simd<double> re = lanes.load(row + n), im = lanes.load(row + m);
  const Simd<double> next_re = fma(F_re, re, fma(F_im, im, fnma(pushed, lanes.load(v.along + n), Simd<double>(0))));
  const Simd<double> next_im = fma(F_re, im, fnma(F_im, re, fnma(pushed, lanes.load(v.along + m), Simd<double>(0))));
  lanes.store(to + n, next_re);
  lanes.store(to + m, next_im);
  return fma(next_re, lanes.load(v.push + n), fma(next_im, lanes.load(v.push + m), sum));
}

/// The same of a column: to = A column, with s^T in place of [d p].
template <class Lanes>
[[gnu::always_inline]] inline Simd<double> move_column(const Lanes& lanes, const DplrVectors& v, Index n,
                                                       Simd<double> along, const double* column, double* to,
                                                       Simd<double> sum) noexcept {
  const Index m = v.modes + n;
  const Simd<double> F_re = lanes.load(v.F + n), F_im = lanes.load(v.F + m);
  const Simd<double> re = lanes.load(column + n), im = lanes.load(column + m);
  const Simd<double> next_re = fma(F_re, re, fnma(F_im, im, fnma(along, lanes.load(v.push + n), Simd<double>(0))));
  const Simd<double> next_im = fma(F_re, im, fma(F_im, re, fnma(along, lanes.load(v.push + m), Simd<double>(0))));
  lanes.store(to + n, next_re);
  lanes.store(to + m, next_im);
  return fma(next_re, lanes.load(v.along + n), fma(next_im, lanes.load(v.along + m), sum));
}

/// row [M] becomes row A^count; `next` is room for M numbers.
inline void move_row(const DplrVectors& v, Index count, double* row, double* next) noexcept {
  const Index M = 2 * v.modes;
  double pushed = dot(row, v.push, M);
  for (Index i = 0; i < count; ++i) {
    Simd<double> sum(0.0);
    for_each_lanes<double>(v.modes, [&](Index n, auto lanes) { sum = move_row(lanes, v, n, pushed, row, next, sum); });
    pushed = stepscan::sum(sum);
    std::copy_n(next, M, row);
  }
}

/// One worker's memory.
struct DplrOperatorsRoom {
  double* vectors;  ///< DplrVectors
  double* inputs;   ///< A^j b, j = 0 ... C, [C + 1, M]
  double* outputs;  ///< c A^i, i = 0 ... C
  double* along;    ///< s^T A^j, j = 0 ... C
  double* pushes;   ///< -F^(C - 1 - j) [d p], [C, M]
  double* power;    ///< F^C [M]
  double* carry;    ///< [M, M]
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
    const V by[] = {V(pulled), V(read), V(turned)};
    V sums[] = {V(0.0), V(0.0), V(0.0)};
    const Index at = j * M, next = at + M;
    for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
      sums[0] = move_column(lanes, v, n, by[0], room.inputs + at, room.inputs + next, sums[0]);
      sums[1] = move_row(lanes, v, n, by[1], room.outputs + at, room.outputs + next, sums[1]);
      sums[2] = move_row(lanes, v, n, by[2], room.along + at, room.along + next, sums[2]);
    });
    pulled = sum(sums[0]);
    read = sum(sums[1]);
    turned = sum(sums[2]);
  }
}

/// carry = (A^C)^T.
inline void fill_dplr_carry(const DplrVectors& v, Index chunk, const DplrOperatorsRoom& room) noexcept {
  const Index M = 2 * v.modes;
  const Planes<const double*, 2> F{v.F, v.F + v.modes};
  for_each_lanes<double>(v.modes, [&](Index n, auto lanes) {
    const auto by = load_planes(lanes, F, n);
    auto power = by, push = load_planes(lanes, Planes<const double*, 2>{v.push, v.push + v.modes}, n);
    for (auto& plane : push) plane = Simd<double>(0) - plane;
    for (Index j = chunk - 1; j >= 0; --j) {
      store_planes(lanes, Planes<double*, 2>{room.pushes + j * M, room.pushes + j * M + v.modes}, n, push);
      push = multiply(by, push);
      if (j > 0) power = multiply(by, power);
    }
    store_planes(lanes, Planes<double*, 2>{room.power, room.power + v.modes}, n, power);
  });
  small_multiply<double>(transposed_factor(MatrixView<const double>(room.along, chunk, M)), {room.pushes, chunk, M},
                         {room.carry, M, M});
  add_block_diagonal(v.modes, room.power, room.carry);
}

/// The operators of one feature.
template <Scalar S>
void dplr_operators(const DplrVectors& v, double skip, Index chunk, const ChunkOperators<S>& out,
                    const DplrOperatorsRoom& room) noexcept {
  const Index M = 2 * v.modes;
  fill_dplr_tables(v, chunk, room);
  fill_dplr_carry(v, chunk, room);
  std::fill_n(out.response, chunk - 1, S{0});
  for (Index l = 0; l < chunk; ++l) {
    out.response[chunk - 1 + l] = static_cast<S>(dot(v.c, room.inputs + l * M, M) + (l == 0 ? skip : 0.0));
  }
  transpose<double>({room.outputs + M, chunk, M}, {room.turned, M, chunk});
  narrow_copy(room.turned, M * chunk, out.read);
  for (Index j = 0; j < chunk; ++j) narrow_copy(room.inputs + (chunk - 1 - j) * M, M, out.write + j * M);
  narrow_copy(room.carry, M * M, out.carry);
  dplr_transposed(v, room.carry);
  narrow_copy(room.carry, M * M, out.advance);
}

}  // namespace detail

/// The operators of all features, shape.features * shape.operators_size() numbers of memory, from mode(feature, n),
/// half_step(feature) and skip(feature).
template <Scalar S, class Mode, class HalfStep, class Skip>
[[nodiscard]] ChunkSystem<const S> dplr_chunk_system(const SystemShape& shape, S* memory, Workspace& workspace,
                                                     const Mode& mode, const HalfStep& half_step, const Skip& skip) {
  const Workspace::Scope scope(workspace);
  const ChunkSystem<S> out{shape, memory};
  const Index modes = shape.states / 2, size = detail::DplrOperatorsRoom::size(modes, shape.chunk);
  const Index workers = worker_count(shape.features, shape.features * shape.chunk * shape.states * shape.states);
  double* rooms = workspace.take<double>(workers * size);
  detail::for_each_share(shape.features, workers, [&](Index f, Index worker) {
    const detail::DplrOperatorsRoom room(modes, shape.chunk, rooms + worker * size);
    const detail::DplrVectors vectors(
        modes, half_step(f), [&](Index n) { return mode(f, n); }, room.vectors);
    detail::dplr_operators<S>(vectors, skip(f), shape.chunk, out.operators(f), room);
  });
  return {out.shape, out.memory};
}

}  // namespace stepscan::inline STEPSCAN_ISA
