#pragma once

#include <limits>
#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/diagonal_system.hpp>

/// The chunk operators of diagonal systems, from the powers of their modes:
///   K[l] = Re sum_n c a^l b + D [l = 0],   R[i] = c a^(i+1),   W[j] = a^(C-1-j) b
/// by repeated multiplication in double, never an exponential per power.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Row r of a table of complex rows [rows, 2, modes].
template <class T>
[[nodiscard]] Planes<T*, 2> complex_row(T* table, Index modes, Index r) noexcept {
  T* first = table + r * 2 * modes;
  return {first, first + modes};
}

/// Row f of planes [features, modes].
[[nodiscard]] inline Planes<const double*, 2> feature_row(const Planes<const double*, 2>& p, Index modes,
                                                          Index f) noexcept {
  return {p[0] + f * modes, p[1] + f * modes};
}

/// table [count + 1, 2, modes]: the powers a^0 ... a^count.
inline void fill_powers(const Planes<const double*, 2>& a, Index modes, Index count, double* table) noexcept {
  std::fill_n(table, modes, 1.0);
  std::fill_n(table + modes, modes, 0.0);
  for (Index p = 1; p <= count; ++p) {
    const Planes<double*, 2> before = complex_row(table, modes, p - 1), to = complex_row(table, modes, p);
    for_each_lanes<double>(modes, [&](Index n, auto lanes) {
      store_planes(lanes, to, n, multiply(load_planes(lanes, a, n), load_planes(lanes, before, n)));
    });
  }
}

/// A number in S, at most the largest: a mode that grows may leave S within a chunk, where nothing yet multiplies it.
template <Scalar S>
[[nodiscard]] constexpr S narrow(double x) noexcept {
  constexpr double most = static_cast<double>(std::numeric_limits<S>::max());
  return static_cast<S>(std::clamp(x, -most, most));
}

/// The operators of one feature; room [operators_room].
template <Scalar S>
void diagonal_operators(const DiagonalSystem& system, Index feature, Index chunk, const ChunkOperators<S>& out,
                        double* room) noexcept {
  const Index modes = system.modes, states = 2 * modes;
  const auto a = feature_row(system.a, modes, feature), c = feature_row(system.c, modes, feature);
  double* powers = room;
  double* weights = powers + (chunk + 1) * states;  // c b
  double* row = weights + states;                   // c a^(i+1) or a^(C-1-j) b
  fill_powers(a, modes, chunk, powers);
  const auto b =
      system.has_input() ? feature_row(system.b, modes, feature) : complex_row<const double>(powers, modes, 0);
  const auto write_product = [&](const Planes<const double*, 2>& left, Index power, double* to) {
    for_each_lanes<double>(modes, [&](Index n, auto lanes) {
      store_planes(lanes, complex_row(to, modes, 0), n,
                   multiply(load_planes(lanes, left, n),
                            load_planes(lanes, complex_row<const double>(powers, modes, power), n)));
    });
  };
  for_each_lanes<double>(modes, [&](Index n, auto lanes) {
    store_planes(lanes, complex_row(weights, modes, 0), n,
                 multiply(load_planes(lanes, c, n), load_planes(lanes, b, n)));
  });
  std::fill_n(out.response, chunk - 1, S{0});
  for (Index l = 0; l < chunk; ++l) {
    const double* at = powers + l * states;
    const auto sums = sum_lanes<double, 1>(modes, [&](Index n, auto lanes) {
      return std::array{fnma(lanes.load(weights + modes + n), lanes.load(at + modes + n),
                             lanes.load(weights + n) * lanes.load(at + n))};
    });
    out.response[chunk - 1 + l] = narrow<S>(sums[0] + (l == 0 ? system.skip[feature] : 0.0));
  }
  for (Index i = 0; i < chunk; ++i) {
    write_product(c, i + 1, row);
    for (Index n = 0; n < modes; ++n) {
      out.read[n * chunk + i] = narrow<S>(row[n]);
      out.read[(modes + n) * chunk + i] = narrow<S>(-row[modes + n]);
    }
    const double* written = powers + (chunk - 1 - i) * states;
    if (system.has_input()) {
      write_product(b, chunk - 1 - i, row);
      written = row;
    }
    for (Index s = 0; s < states; ++s) out.write[i * states + s] = narrow<S>(written[s]);
  }
  for (Index s = 0; s < states; ++s) {
    out.carry[s] = narrow<S>(powers[chunk * states + s]);
    out.advance[s] = narrow<S>(powers[states + s]);
  }
}

/// Doubles of scratch of diagonal_operators.
[[nodiscard]] constexpr Index diagonal_operators_room(Index modes, Index chunk) noexcept {
  return (chunk + 3) * 2 * modes;
}

}  // namespace detail

/// The operators of all features, features * system_shape(system, chunk).operators_size() numbers of memory.
template <Scalar S>
[[nodiscard]] ChunkSystem<const S> diagonal_chunk_system(const DiagonalSystem& system, Index chunk, S* memory,
                                                         Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const ChunkSystem<S> out{system_shape(system, chunk), memory};
  const Index size = detail::diagonal_operators_room(system.modes, chunk);
  const Index workers = worker_count(system.features, system.features * size * 4);
  double* rooms = workspace.take<double>(workers * size);
  detail::for_each_share(system.features, workers, [&](Index f, Index worker) {
    detail::diagonal_operators<S>(system, f, chunk, out.operators(f), rooms + worker * size);
  });
  return {out.shape, out.memory};
}

}  // namespace stepscan::inline STEPSCAN_ISA
