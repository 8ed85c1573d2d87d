#pragma once

#include <bit>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/ops/diagonal_operators.hpp>
#include <stepscan/ops/linear_system.hpp>

/// The chunk operators of dense systems (LSSL), and their impulse responses, in double by doubling: with N states
///   [b, A b, ..., A^(2k-1) b] = [X, A^k X],   [c A; ...; c A^(2k)] = [Y; Y A^k],   A^(2k) = (A^k)^2
/// log2 C products of matrices where C steps would read A C times.
namespace stepscan::inline STEPSCAN_ISA {

/// A discretised dense system of one input.
struct DenseResponse {
  Index states = 0;
  Index channels = 1;
  const double* A = nullptr;     ///< [N, N]
  const double* b = nullptr;     ///< [N]
  const double* c = nullptr;     ///< [channels, N]
  const double* skip = nullptr;  ///< [channels]

  [[nodiscard]] MatrixView<const double> transition() const noexcept { return {A, states, states}; }
  [[nodiscard]] MatrixView<const double> read() const noexcept { return {c, channels, states}; }
};

namespace detail {

/// Powers of A and what they make of b and c, or the cotangents of all of these, in memory of the caller's. C is a
/// power of 2.
class DenseChain {
 public:
  DenseChain(Index states, Index channels, Index chunk, double* memory) noexcept
      : states_(states), channels_(channels), chunk_(chunk), memory_(memory) {}

  [[nodiscard]] static Index size(Index states, Index channels, Index chunk) noexcept {
    return 2 * (levels(chunk) + 1) * states * states + (channels + 1) * chunk * states;
  }
  /// How often A is squared.
  [[nodiscard]] static Index levels(Index chunk) noexcept { return std::countr_zero(static_cast<std::size_t>(chunk)); }
  [[nodiscard]] Index levels() const noexcept { return levels(chunk_); }
  [[nodiscard]] Index states() const noexcept { return states_; }
  [[nodiscard]] Index channels() const noexcept { return channels_; }
  [[nodiscard]] Index chunk() const noexcept { return chunk_; }

  /// A^(2^level), and its transpose.
  [[nodiscard]] MatrixView<double> power(Index level) const noexcept { return matrix(2 * level); }
  [[nodiscard]] MatrixView<double> transposed_power(Index level) const noexcept { return matrix(2 * level + 1); }
  /// Row l is A^l b [C, N].
  [[nodiscard]] MatrixView<double> inputs() const noexcept {
    return {memory_ + 2 * (levels() + 1) * states_ * states_, chunk_, states_};
  }
  /// Row i is c_m A^(i + 1) [C, N].
  [[nodiscard]] MatrixView<double> outputs(Index channel) const noexcept {
    return {inputs().row((channel + 1) * chunk_), chunk_, states_};
  }

  void fill(const DenseResponse& system) const noexcept {
    std::copy_n(system.A, states_ * states_, power(0).data);
    transpose<double>(power(0), transposed_power(0));
    std::copy_n(system.b, states_, inputs().data);
    for (Index m = 0; m < channels_; ++m) {
      small_multiply<double>(factor<double>(system.read().middle_rows(m, 1)), power(0), outputs(m).middle_rows(0, 1));
    }
    for (Index level = 0; level < levels(); ++level) {
      const Index have = Index{1} << level;
      extend(inputs(), have, transposed_power(level));
      for (Index m = 0; m < channels_; ++m) extend(outputs(m), have, power(level));
      small_multiply<double>(factor<double>(power(level)), power(level), power(level + 1));
      transpose<double>(power(level + 1), transposed_power(level + 1));
    }
  }

  /// From cotangents in `d` of the last power, of all inputs and all outputs to that of A, which is added to d.power(0)
  /// with those of b and of c A, in the first rows. d.transposed_power() is not used.
  void pull_back(const DenseChain& d) const noexcept {
    for (Index level = levels() - 1; level >= 0; --level) {
      const Index have = Index{1} << level;
      const MatrixView<double> dP = d.power(level);
      small_multiply_add<double>(factor<double>(d.power(level + 1)), transposed_power(level), dP);
      small_multiply_add<double>(factor<double>(transposed_power(level)), d.power(level + 1), dP);
      const auto pull = [&](MatrixView<double> drows, MatrixView<const double> back) {
        small_multiply_add<double>(factor<double>(drows.middle_rows(have, have)), back, drows.middle_rows(0, have));
      };
      for (Index m = 0; m < channels_; ++m) {
        small_multiply_add<double>(transposed_factor<double>(outputs(m).middle_rows(0, have)),
                                   d.outputs(m).middle_rows(have, have), dP);
        pull(d.outputs(m), transposed_power(level));
      }
      small_multiply_add<double>(transposed_factor<double>(d.inputs().middle_rows(have, have)),
                                 inputs().middle_rows(0, have), dP);
      pull(d.inputs(), power(level));
    }
  }

 private:
  [[nodiscard]] MatrixView<double> matrix(Index i) const noexcept {
    return {memory_ + i * states_ * states_, states_, states_};
  }
  static void extend(MatrixView<double> rows, Index have, MatrixView<const double> by) noexcept {
    small_multiply<double>(factor<double>(rows.middle_rows(0, have)), by, rows.middle_rows(have, have));
  }

  Index states_;
  Index channels_;
  Index chunk_;
  double* memory_;
};

}  // namespace detail

/// The shape of the chunk operators of dense systems.
[[nodiscard]] constexpr SystemShape dense_shape(Index features, Index states, Index channels, Index chunk) noexcept {
  return {features, states, chunk, channels, true};
}

/// Doubles of scratch of the functions below.
[[nodiscard]] inline Index dense_operators_room(const SystemShape& shape) noexcept {
  return detail::DenseChain::size(shape.states, shape.channels, shape.chunk);
}

/// The operators of one feature.
template <Scalar S>
void dense_operators(const DenseResponse& system, const SystemShape& shape, const ChunkOperators<S>& out,
                     double* room) noexcept {
  const Index C = shape.chunk, N = shape.states;
  const detail::DenseChain chain(N, shape.channels, C, room);
  chain.fill(system);
  const auto write = [](const double* from, Index count, S* to) {
    for (Index i = 0; i < count; ++i) to[i] = detail::narrow<S>(from[i]);
  };
  for (Index m = 0; m < shape.channels; ++m) {
    S* response = out.response + m * shape.response_size();
    std::fill_n(response, C - 1, S{0});
    for (Index l = 0; l < C; ++l) {
      const double k = dot(system.c + m * N, chain.inputs().row(l), N);
      response[C - 1 + l] = detail::narrow<S>(k + (l == 0 ? system.skip[m] : 0.0));
      for (Index n = 0; n < N; ++n) out.read[(m * N + n) * C + l] = detail::narrow<S>(chain.outputs(m)(l, n));
    }
  }
  for (Index j = 0; j < C; ++j) write(chain.inputs().row(C - 1 - j), N, out.write + j * N);
  write(chain.transposed_power(chain.levels()).data, N * N, out.carry);
  write(chain.transposed_power(0).data, N * N, out.advance);
}

/// The impulse response of one feature without the skip, kernel [channels, length]:
///   K[0] = c b,   K[1 + i C + j] = (c A^(j+1)) (A^(i C) b)
/// so that no more than one state is kept whatever the length. room: dense_operators_room and 2 N.
template <Scalar S>
void dense_kernel(const DenseResponse& system, const SystemShape& shape, MatrixView<S> kernel, double* room) noexcept {
  const Index C = shape.chunk, N = shape.states;
  const detail::DenseChain chain(N, shape.channels, C, room);
  chain.fill(system);
  double *state = room + dense_operators_room(shape), *next = state + N;
  std::copy_n(system.b, N, state);
  for (Index m = 0; m < shape.channels && kernel.cols > 0; ++m) {
    kernel(m, 0) = detail::narrow<S>(dot(system.c + m * N, system.b, N));
  }
  for (Index first = 1; first < kernel.cols; first += C) {
    for (Index m = 0; m < shape.channels; ++m) {
      for (Index j = 0; j < std::min(C, kernel.cols - first); ++j) {
        kernel(m, first + j) = detail::narrow<S>(dot(chain.outputs(m).row(j), state, N));
      }
    }
    for (Index n = 0; n < N; ++n) next[n] = dot(chain.power(chain.levels()).row(n), state, N);
    std::swap(state, next);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
