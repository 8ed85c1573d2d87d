#pragma once

#include <limits>
#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/linear_system.hpp>

/// The chunk operators of discretised systems with any real transition matrix, one per feature,
///   h_t = A h_(t-1) + b u_t,   y_t[m] = c[m] h_t + D[m] u_t
/// by doubling: with the powers A^1, A^2, A^4, ... the rows b^T (A^T)^j and c A^i double with every product (LSSL,
/// arXiv 2110.13985, section 3.1: the Krylov matrix). All in double.
namespace stepscan::inline STEPSCAN_ISA {

/// One feature.
struct DenseResponse {
  Index states = 0;
  Index channels = 1;
  const double* transposed = nullptr;  ///< A^T [M, M]
  const double* b = nullptr;           ///< [M]
  const double* c = nullptr;           ///< [channels, M]
  const double* skip = nullptr;        ///< D [channels]
};

namespace detail {

/// Powers of 2 up to `count`, at least one.
[[nodiscard]] constexpr Index doublings(Index count) noexcept {
  Index n = 1;
  while ((Index{1} << n) <= count) ++n;
  return n;
}

/// One worker's memory.
struct DenseOperatorsRoom {
  double* powers;   ///< (A^T)^(2^k), [doublings, M, M]
  double* turned;   ///< A^(2^k) [M, M]
  double* inputs;   ///< b^T (A^T)^j, [C, M]
  double* outputs;  ///< c[m] A^i, i = 0 ... C, [channels, C + 1, M]
  double* product;  ///< (A^T)^C [M, M]
  double* scratch;  ///< [M, M]

  [[nodiscard]] static Index size(Index states, Index channels, Index chunk) noexcept {
    return (doublings(chunk) + 3) * states * states + (chunk + channels * (chunk + 1)) * states;
  }
  DenseOperatorsRoom(Index states, Index channels, Index chunk, double* memory) noexcept
      : powers(memory),
        turned(powers + doublings(chunk) * states * states),
        inputs(turned + states * states),
        outputs(inputs + chunk * states),
        product(outputs + channels * (chunk + 1) * states),
        scratch(product + states * states) {}
};

inline MatrixView<const double> square(const double* data, Index n) noexcept { return {data, n, n}; }

/// Writes all of the room's tables.
inline void fill_dense_tables(const DenseResponse& system, Index chunk, const DenseOperatorsRoom& room) noexcept {
  const Index M = system.states, size = M * M;
  std::copy_n(system.transposed, size, room.powers);
  std::copy_n(system.b, M, room.inputs);
  for (Index m = 0; m < system.channels; ++m) {
    std::copy_n(system.c + m * M, M, room.outputs + m * (chunk + 1) * M);
  }
  bool started = false;
  for (Index k = 0, count = 1; k < doublings(chunk); ++k, count *= 2) {
    double* power = room.powers + k * size;
    if (k > 0) small_multiply<double>(factor(square(power - size, M)), square(power - size, M), {power, M, M});
    transpose<double>(square(power, M), {room.turned, M, M});
    const auto grow = [&](double* rows, Index wanted, const double* by) {
      const Index more = std::clamp<Index>(wanted - count, 0, count);
      small_multiply<double>(factor(MatrixView<const double>(rows, more, M)), square(by, M),
                             {rows + count * M, more, M});
    };
    grow(room.inputs, chunk, power);
    for (Index m = 0; m < system.channels; ++m) grow(room.outputs + m * (chunk + 1) * M, chunk + 1, room.turned);
    if ((chunk & count) == 0) continue;
    if (started) {
      small_multiply<double>(factor(square(room.product, M)), square(power, M), {room.scratch, M, M});
      std::copy_n(room.scratch, size, room.product);
    } else {
      std::copy_n(power, size, room.product);
    }
    started = true;
  }
}

/// The operators of one feature.
template <Scalar S>
void dense_operators(const DenseResponse& system, Index chunk, const ChunkOperators<S>& out,
                     const DenseOperatorsRoom& room) noexcept {
  const Index M = system.states;
  fill_dense_tables(system, chunk, room);
  for (Index m = 0; m < system.channels; ++m) {
    S* response = out.response + m * (2 * chunk - 1);
    std::fill_n(response, chunk - 1, S{0});
    for (Index l = 0; l < chunk; ++l) {
      const double tap = dot(system.c + m * M, room.inputs + l * M, M) + (l == 0 ? system.skip[m] : 0.0);
      response[chunk - 1 + l] = static_cast<S>(tap);
    }
    const double* rows = room.outputs + (m * (chunk + 1) + 1) * M;
    for (Index i = 0; i < chunk; ++i) {
      for (Index s = 0; s < M; ++s) out.read[(m * M + s) * chunk + i] = static_cast<S>(rows[i * M + s]);
    }
  }
  for (Index j = 0; j < chunk; ++j) convert_row(room.inputs + (chunk - 1 - j) * M, M, out.write + j * M);
  convert_row(room.product, M * M, out.carry);
  convert_row(system.transposed, M * M, out.advance);
}

}  // namespace detail

/// The operators of all features, shape.features * shape.operators_size() numbers of memory. make(feature, to) writes
/// the feature's system to `to`, room for system_size doubles, and returns it; it runs on threads.
template <Scalar S, class Make>
[[nodiscard]] ChunkSystem<const S> dense_chunk_system(const SystemShape& shape, S* memory, Index system_size,
                                                      Workspace& workspace, const Make& make) {
  const Workspace::Scope scope(workspace);
  const ChunkSystem<S> out{shape, memory};
  const Index M = shape.states, tables = detail::DenseOperatorsRoom::size(M, shape.channels, shape.chunk);
  const Index size = tables + system_size;
  const Index workers = worker_count(shape.features, shape.features * (shape.chunk + 8 * M) * M * M);
  double* rooms = workspace.take<double>(workers * size);
  detail::for_each_share(shape.features, workers, [&](Index f, Index worker) {
    double* own = rooms + worker * size;
    const DenseResponse system = make(f, own + tables);
    detail::dense_operators<S>(system, shape.chunk, out.operators(f),
                               detail::DenseOperatorsRoom(M, shape.channels, shape.chunk, own));
  });
  return {out.shape, out.memory};
}

}  // namespace stepscan::inline STEPSCAN_ISA
