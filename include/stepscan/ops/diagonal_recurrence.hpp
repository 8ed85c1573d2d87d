#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/diagonal_system.hpp>
#include <stepscan/scan/affine_slots.hpp>

/// Diagonal systems token after token: a step, and a whole sequence with the same bits. Lanes are channels; the sum
/// over the modes that y is goes from the first to the last.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// h = a h + b u and y += Re(c h), of one mode and a register of channels.
template <bool HasInput, Scalar S>
struct ModeRegisters {
  Simd<S> a_re, a_im, c_re, c_im, b_re, b_im;

  [[gnu::always_inline]] void move(Simd<S> u, Simd<S>& re, Simd<S>& im, Simd<S>& y) const noexcept {
    Simd<S> next_re, next_im;
    if constexpr (HasInput) {
      next_re = fma(a_re, re, fnma(a_im, im, b_re * u));
      next_im = fma(a_re, im, fma(a_im, re, b_im * u));
    } else {
      next_re = fma(a_re, re, fnma(a_im, im, u));
      next_im = fma(a_re, im, a_im * re);
    }
    re = next_re;
    im = next_im;
    y = fma(c_re, re, fnma(c_im, im, y));
  }
};

template <bool HasInput, Scalar S, class Lanes>
[[gnu::always_inline]] inline ModeRegisters<HasInput, S> load_mode(const Lanes& lanes, const DiagonalStep<S>& p,
                                                                   Index at) noexcept {
  ModeRegisters<HasInput, S> m{
      lanes.load(p.a[0] + at), lanes.load(p.a[1] + at), lanes.load(p.c[0] + at), lanes.load(p.c[1] + at), {}, {}};
  if constexpr (HasInput) {
    m.b_re = lanes.load(p.b[0] + at);
    m.b_im = lanes.load(p.b[1] + at);
  }
  return m;
}

/// `Count` modes from number n on. What it takes is its own, so that no store can change it.
template <bool HasInput, Index Count, Scalar S>
void move_modes(const DiagonalStep<S> p, Index n, const S* u, S* h_re, S* h_im, S* y) noexcept {
  for_each_lanes<S>(
      p.features, [=](Index i, auto lanes) __attribute__((always_inline)) {
        const Simd<S> in = lanes.load(u + i);
        Simd<S> out = lanes.load(y + i);
        for (Index mode = n; mode < n + Count; ++mode) {
          const Index at = mode * p.features + i;
          Simd<S> re = lanes.load(h_re + at), im = lanes.load(h_im + at);
          load_mode<HasInput>(lanes, p, at).move(in, re, im, out);
          lanes.store(h_re + at, re);
          lanes.store(h_im + at, im);
        }
        lanes.store(y + i, out);
      });
}

/// Two modes at a time, so that every plane is read from its first number to its last.
template <bool HasInput, Scalar S>
void diagonal_step(const DiagonalStep<S>& p, const S* u, S* h_re, S* h_im, S* y) noexcept {
  for_each_lanes<S>(p.features,
                    [&](Index i, auto lanes) { lanes.store(y + i, lanes.load(p.skip + i) * lanes.load(u + i)); });
  Index n = 0;
  for (; n + 2 <= p.modes; n += 2) move_modes<HasInput, 2>(p, n, u, h_re, h_im, y);
  if (n < p.modes) move_modes<HasInput, 1>(p, n, u, h_re, h_im, y);
}

/// One register of channels of a system: weights [modes, 4 or 6, width], D [width], and states [modes, 2, width].
template <bool HasInput, Scalar S>
struct DiagonalStrip {
  static constexpr Index width = simd_width<S>;
  static constexpr Index planes = HasInput ? 6 : 4;

  [[nodiscard]] static constexpr Index weights_size(Index modes) noexcept { return (modes * planes + 1) * width; }

  static void pack(const DiagonalStep<S>& p, Index first, S* to) noexcept {
    const Index count = std::min(width, p.features - first);
    std::fill_n(to, weights_size(p.modes), S{0});
    for (Index n = 0; n < p.modes; ++n) {
      const Index at = n * p.features + first;
      S* mode = to + n * planes * width;
      for (std::size_t k = 0; k < 2; ++k) {
        std::copy_n(p.a[k] + at, count, mode + static_cast<Index>(k) * width);
        std::copy_n(p.c[k] + at, count, mode + static_cast<Index>(2 + k) * width);
        if constexpr (HasInput) std::copy_n(p.b[k] + at, count, mode + static_cast<Index>(4 + k) * width);
      }
    }
    std::copy_n(p.skip + first, count, to + p.modes * planes * width);
  }

  /// `Tokens` tokens from u to y, `stride` apart.
  template <int Tokens>
  static void move(const S* weights, Index modes, S* h, const S* u, S* y, Index stride) noexcept {
    Simd<S> in[Tokens], out[Tokens];
    const Simd<S> skip = load(weights + modes * planes * width);
#pragma GCC unroll 4
    for (int t = 0; t < Tokens; ++t) {
      in[t] = load(u + t * stride);
      out[t] = skip * in[t];
    }
    for (Index n = 0; n < modes; ++n) {
      const S* w = weights + n * planes * width;
      ModeRegisters<HasInput, S> m{load(w), load(w + width), load(w + 2 * width), load(w + 3 * width), {}, {}};
      if constexpr (HasInput) {
        m.b_re = load(w + 4 * width);
        m.b_im = load(w + 5 * width);
      }
      S* state = h + n * 2 * width;
      Simd<S> re = load(state), im = load(state + width);
#pragma GCC unroll 4
      for (int t = 0; t < Tokens; ++t) m.move(in[t], re, im, out[t]);
      store(state, re);
      store(state + width, im);
    }
#pragma GCC unroll 4
    for (int t = 0; t < Tokens; ++t) store(y + t * stride, out[t]);
  }
};

/// A sequence of the executors is one block of features of one batch member.
template <bool HasInput, Scalar S>
struct DiagonalRecurrence {
  using Strip = DiagonalStrip<HasInput, S>;
  static constexpr Index width = simd_width<S>, block = system_block<S>, strips = block / width;
  static constexpr Index run = 64;  ///< tokens whose inputs and outputs are copied at a time

  Index features;
  Index modes;
  Index blocks;
  const S* weights;      ///< [blocks, strips, weights_size]
  MatrixView<S> states;  ///< [sequences, strips * modes * 2 * width]
  SequenceView<const S> x;
  SequenceView<S> y;
  S* rooms;  ///< [workers, 2, run, block]

  [[nodiscard]] Index length(Index s) const noexcept { return x.length(s / blocks); }
  [[nodiscard]] S* state(Index s, Index) const noexcept { return states.row(s); }

  void emit(const ScanJob& job, S* h) const noexcept {
    const Index member = job.sequence / blocks, number = job.sequence % blocks, first = number * block;
    const Index count = std::min(block, features - first), tokens = job.tokens.size();
    S* u = rooms + job.worker * 2 * run * block;
    S* out = u + run * block;
    if (count < block) std::fill_n(u, run * block, S{0});
    for (Index t = 0; t < tokens; ++t) std::copy_n(x.token(member, job.tokens.begin + t) + first, count, u + t * block);
    for (Index i = 0; i < strips && i * width < count; ++i) {
      const S* w = weights + (number * strips + i) * Strip::weights_size(modes);
      S* own = h + i * modes * 2 * width;
      Index t = 0;
      for (; t + 4 <= tokens; t += 4) {
        Strip::template move<4>(w, modes, own, u + t * block + i * width, out + t * block + i * width, block);
      }
      for (; t < tokens; ++t) {
        Strip::template move<1>(w, modes, own, u + t * block + i * width, out + t * block + i * width, block);
      }
    }
    for (Index t = 0; t < tokens; ++t)
      std::copy_n(out + t * block, count, y.token(member, job.tokens.begin + t) + first);
  }
};

template <bool HasInput, Scalar S>
void diagonal_recurrence(const DiagonalStep<S>& p, SequenceView<const S> x, S* h_re, S* h_im, SequenceView<S> y,
                         Workspace& workspace) {
  using Op = DiagonalRecurrence<HasInput, S>;
  constexpr Index block = Op::block, width = Op::width, strips = Op::strips;
  const Workspace::Scope scope(workspace);
  const Index blocks = (p.features + block - 1) / block, sequences = x.batch * blocks;
  const Index strip_weights = Op::Strip::weights_size(p.modes);
  S* weights = workspace.take<S>(blocks * strips * strip_weights);
  for (Index i = 0; i < blocks * strips && i * width < p.features; ++i) {
    Op::Strip::pack(p, i * width, weights + i * strip_weights);
  }
  const MatrixView<S> states = workspace.matrix<S, Dynamic>(sequences, strips * p.modes * 2 * width);
  const auto for_each = [&](auto&& f) {
    for (Index s = 0; s < sequences; ++s) {
      const Index first = s % blocks * block;
      for (Index i = 0; i < strips && first + i * width < p.features; ++i) {
        const Index at = first + i * width, count = std::min(width, p.features - at);
        for (Index n = 0; n < p.modes; ++n) {
          const Index from = (s / blocks * p.modes + n) * p.features + at;
          S* to = states.row(s) + (i * p.modes + n) * 2 * width;
          f(h_re + from, to, count);
          f(h_im + from, to + width, count);
        }
      }
    }
  };
  for_each([](const S* state, S* to, Index count) {
    std::fill_n(to, width, S{0});
    std::copy_n(state, count, to);
  });
  const ScanGrid grid{sequences, x.time, Op::run, worker_count(sequences, 4 * x.batch * x.time * p.features * p.modes),
                      Direction::forward};
  S* rooms = workspace.take<S>(grid.workers * 2 * Op::run * block);
  scan_chunked(Op{p.features, p.modes, blocks, weights, states, x, y, rooms}, grid);
  for_each([](S* state, const S* from, Index count) { std::copy_n(from, count, state); });
  clear_padding(x, y);
}

}  // namespace detail

/// One token of every batch member: x, y [batch, features], states [batch, modes, features].
template <Scalar S>
void system_step(const DiagonalStep<S>& p, MatrixView<const S> x, const SystemStates<S>& h, MatrixView<S> y) noexcept {
  for (Index b = 0; b < x.rows; ++b) {
    const Index at = b * p.modes * p.features;
    if (p.has_input()) {
      detail::diagonal_step<true>(p, x.row(b), h.planes[0] + at, h.planes[1] + at, y.row(b));
    } else {
      detail::diagonal_step<false>(p, x.row(b), h.planes[0] + at, h.planes[1] + at, y.row(b));
    }
  }
}

/// Whole sequences, the same bits as steps. Blocks of features are spread over threads.
template <Scalar S>
void system_recurrence(const DiagonalStep<S>& p, SequenceView<const S> x, const SystemStates<S>& h, SequenceView<S> y,
                       Workspace& workspace) {
  if (p.has_input()) {
    detail::diagonal_recurrence<true, S>(p, x, h.planes[0], h.planes[1], y, workspace);
  } else {
    detail::diagonal_recurrence<false, S>(p, x, h.planes[0], h.planes[1], y, workspace);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
