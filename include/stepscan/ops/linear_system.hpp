#pragma once

#include <algorithm>
#include <array>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/half.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/small_product.hpp>
#include <stepscan/kernels/transpose.hpp>
#include <stepscan/scan/executors.hpp>

/// Linear time-invariant systems, one per feature, as a chunk of C tokens sees them. With h the state of M numbers that
/// enters the chunk and u its inputs,
///   y_i  = sum_(j <= i) K[i - j] u_j + sum_s R[i, s] h_s          K, a Toeplitz matrix: the impulse response
///   h'   = A^C h + sum_j W[j, :] u_j                              R[i] = c A^(i + 1),  W[j] = A^(C - 1 - j) b
/// so that a sequence is three products of small matrices per feature and one short step of the state per chunk,
/// whatever the system is: diagonal (S4D, DSS), diagonal plus low rank (S4) or dense (LSSL). A skip D u is part of
/// K[0].
namespace stepscan::inline STEPSCAN_ISA {

/// Sizes of the systems of all features.
struct SystemShape {
  Index features = 0;
  Index states = 0;    ///< M, real numbers per feature
  Index chunk = 0;     ///< C, tokens
  Index channels = 1;  ///< outputs per feature; output f * channels + m is channel m of feature f
  /// Whether A is any matrix; otherwise diagonal and complex, M / 2 real parts before M / 2 imaginary parts, of which y
  /// takes the real part.
  bool dense = false;

  [[nodiscard]] constexpr Index transition_size() const noexcept { return dense ? states * states : states; }
  [[nodiscard]] constexpr Index response_size() const noexcept { return 2 * chunk - 1; }
  /// Numbers of the operators of one feature, whole cache lines of them.
  [[nodiscard]] constexpr Index operators_size() const noexcept {
    constexpr Index line = 16;
    const Index size =
        channels * (response_size() + states * chunk) + chunk * states + transition_size() + transition_size();
    return (size + line - 1) / line * line;
  }
};

/// The operators of one feature, or their cotangents.
template <class T>
struct ChunkOperators {
  T* response;  ///< [channels, 2 C - 1]: C - 1 zeros and K[0 .. C - 1]
  T* read;      ///< R transposed: [channels, M, C]
  T* write;     ///< W [C, M]
  T* carry;     ///< A^C: [M], or its transpose [M, M]
  T* advance;   ///< A, likewise

  ChunkOperators(const SystemShape& shape, T* memory) noexcept
      : response(memory),
        read(response + shape.channels * shape.response_size()),
        write(read + shape.channels * shape.states * shape.chunk),
        carry(write + shape.chunk * shape.states),
        advance(carry + shape.transition_size()) {}
  template <class U>
  ChunkOperators(const ChunkOperators<U>& other) noexcept requires(std::is_convertible_v<U (*)[], T (*)[]>)
      : response(other.response), read(other.read), write(other.write), carry(other.carry), advance(other.advance) {}
};

/// The operators of all features, [features, operators_size].
template <class T>
struct ChunkSystem {
  SystemShape shape;
  T* memory = nullptr;

  [[nodiscard]] ChunkOperators<T> operators(Index feature) const noexcept {
    return {shape, memory + feature * shape.operators_size()};
  }
};

/// Where the states of a batch lie: [batch, M / planes, features] in each plane, channels contiguous.
template <class T>
struct SystemStates {
  std::array<T*, 2> planes{};  ///< real and imaginary parts; the second null: real

  /// The states of the members behind the first `count`.
  [[nodiscard]] SystemStates behind(const SystemShape& shape, Index count) const noexcept {
    const bool real = planes[1] == nullptr;
    const Index size = count * (real ? shape.states : shape.states / 2) * shape.features;
    return {{planes[0] + size, real ? nullptr : planes[1] + size}};
  }
};

/// Tokens of a chunk. A token costs C / 2 multiply-adds of the Toeplitz product (half of it is zero) and its share of
/// the step between chunks: about 8 per number of the state when A is diagonal, M when it is dense.
[[nodiscard]] constexpr Index solve_system_chunk(Index states, bool dense) noexcept {
  constexpr Index least = 16, most = 128;
  const Index step = dense ? states * states : 8 * states;
  Index chunk = least;
  while (chunk < most && chunk / 2 + step / chunk > chunk + step / (2 * chunk)) chunk *= 2;
  return chunk;
}

namespace detail {

/// Features that run together: those of one cache line.
template <Scalar S>
inline constexpr Index system_block = 64 / static_cast<Index>(sizeof(S));

/// Taps of a row when an impulse response is made as a product of matrices.
inline constexpr Index kernel_columns = 64;

/// Numbers of scratch of apply_transition.
[[nodiscard]] constexpr Index transition_room(const SystemShape& shape) noexcept { return shape.states; }

/// h = A h, A being `carry` or `advance` of a feature.
template <Scalar S>
void apply_transition(const SystemShape& shape, const S* a, S* h, S* room) noexcept {
  if (shape.dense) {
    std::copy_n(h, shape.states, room);
    small_multiply<S>(factor<S>(row_view<const S>(room, shape.states)), {a, shape.states, shape.states},
                      row_view(h, shape.states));
    return;
  }
  const Index half = shape.states / 2;
  for_each_lanes<S>(half, [&](Index n, auto lanes) {
    const Simd<S> a_re = lanes.load(a + n), a_im = lanes.load(a + half + n);
    const Simd<S> re = lanes.load(h + n), im = lanes.load(h + half + n);
    lanes.store(h + n, fnma(a_im, im, a_re * re));
    lanes.store(h + half + n, fma(a_re, im, a_im * re));
  });
}

/// The cotangent g of A h becomes that of h; da += the cotangent of A.
template <Scalar S>
void pull_transition(const SystemShape& shape, const S* a, const S* h, S* g, S* da, S* room) noexcept {
  if (shape.dense) {
    std::copy_n(g, shape.states, room);
    for (Index i = 0; i < shape.states; ++i) {
      g[i] = dot(a + i * shape.states, room, shape.states);
      add_scaled(h[i], room, da + i * shape.states, shape.states);
    }
    return;
  }
  const Index half = shape.states / 2;
  for_each_lanes<S>(half, [&](Index n, auto lanes) {
    const Simd<S> a_re = lanes.load(a + n), a_im = lanes.load(a + half + n);
    const Simd<S> re = lanes.load(h + n), im = lanes.load(h + half + n);
    const Simd<S> g_re = lanes.load(g + n), g_im = lanes.load(g + half + n);
    lanes.store(da + n, fma(re, g_re, fma(im, g_im, lanes.load(da + n))));
    lanes.store(da + half + n, fma(re, g_im, fnma(im, g_re, lanes.load(da + half + n))));
    lanes.store(g + n, fma(a_re, g_re, a_im * g_im));
    lanes.store(g + half + n, fnma(a_im, g_re, a_re * g_im));
  });
}

/// The first `columns` columns of K's Toeplitz matrix from column `first` on, as the right factor of a product with
/// rows of inputs: (j, i) = K[first + i - j].
template <Scalar S>
[[nodiscard]] MatrixView<const S> toeplitz(const SystemShape& shape, const S* response, Index depth, Index first,
                                           Index columns) noexcept {
  return {response + shape.chunk - 1 + first, depth, columns, -1};
}

/// Numbers [features of the block, M] of one member's states, and back.
template <class T, class F>
void for_each_state(const SystemShape& shape, const SystemStates<T>& states, Index member, Index block, F&& f) {
  const Index planes = states.planes[1] == nullptr ? 1 : 2, rows = shape.states / planes;
  constexpr Index block_size = system_block<std::remove_const_t<T>>;
  const Index first = block * block_size, count = std::min(block_size, shape.features - first);
  for (Index s = 0; s < shape.states; ++s) {
    T* row = states.planes[static_cast<std::size_t>(s / rows)] + (member * rows + s % rows) * shape.features + first;
    for (Index b = 0; b < count; ++b) f(row[b], b * shape.states + s);
  }
}

/// to[f * stride + t] = feature first + f of token tokens.begin + t, `padding` zeros behind the last token.
template <Scalar S>
void gather_features(const SequenceView<const S>& x, Index member, const TokenRange& tokens, Index first, Index count,
                     Index padding, S* to, Index stride) noexcept {
  transpose<S>({x.token(member, tokens.begin) + first, tokens.size(), count, x.time_stride},
               {to, count, tokens.size(), stride});
  for (Index f = 0; f < count; ++f) std::fill_n(to + f * stride + tokens.size(), padding, S{0});
}

/// Back again, without the padding.
template <Scalar S>
void scatter_features(const S* from, Index stride, const SequenceView<S>& y, Index member, const TokenRange& tokens,
                      Index first, Index count) noexcept {
  transpose<S>({from, count, tokens.size(), stride},
               {y.token(member, tokens.begin) + first, tokens.size(), count, y.time_stride});
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
