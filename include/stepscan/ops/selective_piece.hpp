#pragma once

#include <initializer_list>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/rows_ahead.hpp>
#include <stepscan/ops/selective_layout.hpp>
#include <stepscan/scan/executors.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The parameters, of which `skip` (D), `delta_bias` may be null; B and C are used where the inputs do not bring their
/// own. A, B and C are complex for P = 2. A has the scale selective_rates and a row of largest numbers.
template <Scalar S, std::size_t P = 1>
struct SelectiveParameters {
  SelectiveLayout layout;
  SelectiveMatrix<S, P> A;
  SelectiveMatrix<S, P> B;
  SelectiveMatrix<S, P> C;
  const S* skip = nullptr;
  const S* delta_bias = nullptr;
  bool delta_softplus = true;
};

/// The parameters with A, and B and C where there are such, as strips in the workspace.
template <Scalar S, std::size_t P>
[[nodiscard]] SelectiveParameters<S, P> pack_parameters(SelectiveParameters<S, P> p, Workspace& workspace) {
  for (SelectiveMatrix<S, P>* matrix : {&p.A, &p.B, &p.C}) {
    if (matrix->packed != nullptr || matrix->plain[0].data == nullptr) continue;
    *matrix = matrix->pack(p.layout, workspace.take<S>(matrix->packed_size(p.layout)));
  }
  return p;
}

/// u, delta [batch, time, features]; B, C [batch, time, P * groups * state_size], real parts before imaginary ones, or
/// of null data: constant parameters; z [batch, time, features], or of null data: no gate. Lengths are those of u. Also
/// their cotangents.
template <class T>
struct SelectiveSequences {
  SequenceView<T> u, delta, B, C, z;
};
template <Scalar S>
using SelectiveInputs = SelectiveSequences<const S>;

/// The units of A: a decay is 2^(dt A.re), turned by dt A.im half turns.
template <Scalar S, std::size_t P = 1>
[[nodiscard]] constexpr Planes<S, P> selective_rates() noexcept {
  constexpr S log2_e = S(1.4426950408889634074), half_turns_per_radian = S(0.31830988618379067154);
  if constexpr (P == 1) {
    return {log2_e};
  } else {
    return {log2_e, half_turns_per_radian};
  }
}

namespace detail {

/// Strips go through this many tokens in turn: the inputs of a block's tokens stay in the second cache level, and the
/// states that a backward pass computes again in the first two.
inline constexpr Index selective_piece = 32;

/// The rows of these tokens of a member that a block of channels passes: its part of `sequences`, some of which may be
/// of null data, and with the first block B and C.
template <Scalar S>
[[nodiscard]] RowsAhead<S> selective_rows(const SelectiveLayout& layout, Index block, Index member, TokenRange tokens,
                                          std::initializer_list<SequenceView<const S>> sequences,
                                          const SelectiveInputs<S>& in) noexcept {
  RowsAhead<S> ahead;
  const auto add = [&](const SequenceView<const S>& x, Index first, Index count) {
    if (x.data == nullptr || tokens.size() <= 0) return;
    ahead.add({x.token(member, tokens.begin) + first, tokens.size(), count, x.time_stride});
  };
  const SelectiveStrip channels = layout.channels(block);
  for (const SequenceView<const S>& x : sequences) add(x, channels.first, channels.count);
  if (block == 0) {
    add(in.B, 0, in.B.features);
    add(in.C, 0, in.C.features);
  }
  return ahead;
}

/// s_t = delta_t + delta_bias
template <Scalar S, std::size_t P>
[[gnu::always_inline]] inline SelectiveLanes<S> shifted_delta(const SelectiveParameters<S, P>& p,
                                                              const SelectiveStrip& strip, const S* delta) noexcept {
  SelectiveLanes<S> s = load_channels(delta + strip.first, strip.count);
  if (p.delta_bias != nullptr) {
    const SelectiveLanes<S> bias = load_channels(p.delta_bias + strip.first, strip.count);
    for_each_register([&](std::size_t r) { s[r] = s[r] + bias[r]; });
  }
  return s;
}

/// B_t and C_t: numbers to broadcast, or rows of `lanes` numbers.
template <Scalar S, std::size_t P, bool Broadcast>
struct SelectiveWeights {
  Planes<const S*, P> B;
  Planes<const S*, P> C;

  [[nodiscard, gnu::always_inline]] static Planes<Simd<S>, P> at(const Planes<const S*, P>& weights, Index n,
                                                                 std::size_t r) noexcept {
    if constexpr (Broadcast) {
      Planes<Simd<S>, P> w;
      for (std::size_t k = 0; k < P; ++k) w[k] = Simd<S>(weights[k][n]);
      return w;
    } else {
      return load_planes(FullLanes<S>{}, weights, n * selective_lanes<S> + static_cast<Index>(r) * simd_width<S>);
    }
  }
};

/// exp(dt A) of one register of channels; A as it is packed.
template <bool InRange, Scalar S, std::size_t P>
[[nodiscard, gnu::always_inline]] inline Planes<Simd<S>, P> selective_decay(Simd<S> dt,
                                                                            const Planes<Simd<S>, P>& a) noexcept {
  const Simd<S> modulus = InRange ? exp2_product_in_range(dt, a[0]) : exp2_product(dt, a[0]);
  if constexpr (P == 1) {
    return {modulus};
  } else {
    const auto [cosine, sine] = half_turns(dt, a[1]);
    return {modulus * cosine, modulus * sine};
  }
}

/// Room for what a piece of tokens is for a strip, rows of `lanes` numbers; and for its strips of A, B and C where
/// these are not packed.
template <Scalar S, std::size_t P>
struct SelectiveRoom {
  S* dt;
  S* dtu;
  S* read;  ///< C h
  S* A;     ///< [P * state_size + 1, lanes]
  S* B;     ///< [P, state_size, lanes]
  S* C;

  [[nodiscard]] static constexpr Index strip_size(const SelectiveLayout& layout) noexcept {
    return static_cast<Index>(P) * layout.strip_size();
  }
  [[nodiscard]] static constexpr Index size(const SelectiveLayout& layout) noexcept {
    return 3 * selective_piece * layout.lanes + 3 * strip_size(layout) + layout.lanes;
  }
  SelectiveRoom(const SelectiveLayout& layout, S* memory) noexcept
      : dt(memory),
        dtu(dt + selective_piece * layout.lanes),
        read(dtu + selective_piece * layout.lanes),
        A(read + selective_piece * layout.lanes),
        B(A + strip_size(layout) + layout.lanes),
        C(B + strip_size(layout)) {}
};

/// A few tokens of one strip of one batch member, in three passes: what does not depend on the states, the states, what
/// is made of them. The first and the last have no chain from token to token to wait for. None is inlined, so that each
/// has the registers for itself.
template <class Math, Scalar S, std::size_t P>
struct SelectivePiece {
  static constexpr Index lanes = selective_lanes<S>;

  const SelectiveParameters<S, P>& p;
  const SelectiveInputs<S>& in;
  SelectiveStrip strip;
  Index number;  ///< of the strip
  Index member;
  TokenRange tokens;
  SelectiveRoom<S, P> room;
  RowsAhead<S>& ahead;

  [[nodiscard]] Planes<const S*, P> A() const noexcept {
    return planes_at<P>(p.A.strip(strip, number, lanes, room.A), p.layout.strip_size());
  }

  /// B_t and C_t.
  template <bool Broadcast>
  [[nodiscard, gnu::always_inline]] SelectiveWeights<S, P, Broadcast> weights(Index t) const noexcept {
    const Index states = p.layout.state_size;
    const auto variable = [&](const SequenceView<const S>& sequence) {
      return planes_at<P>(sequence.token(member, t) + strip.group * states, p.layout.groups * states);
    };
    if constexpr (Broadcast) {
      return {variable(in.B), variable(in.C)};
    } else {
      const auto rows = [&](const SelectiveMatrix<S, P>& constant, const SequenceView<const S>& sequence, S* own) {
        const S* strips = own;
        if (sequence.data == nullptr) {
          strips = constant.strip(strip, number, lanes, own);
        } else {
          for (const S* row : variable(sequence)) {
            for (Index n = 0; n < states; ++n, own += lanes) std::fill_n(own, lanes, row[n]);
          }
        }
        return planes_at<P>(strips, p.layout.strip_size());
      };
      return {rows(p.B, in.B, room.B), rows(p.C, in.C, room.C)};
    }
  }

  /// dt and dt u. Whether all |dt A| are within the range of the exponential.
  [[nodiscard, gnu::noinline, gnu::flatten]] bool load_tokens(const Planes<const S*, P>& a) const noexcept {
    const SelectiveLanes<S> largest = load_channels(a.back() + p.layout.strip_size(), lanes);
    bool in_range = true;
    for (Index t = tokens.begin; t < tokens.end; ++t) {
      const SelectiveLanes<S> u = load_channels(in.u.token(member, t) + strip.first, strip.count);
      SelectiveLanes<S> dt = shifted_delta(p, strip, in.delta.token(member, t)), dtu;
      for_each_register([&](std::size_t r) {
        if (p.delta_softplus) dt[r] = softplus<Math>(dt[r]);
        dtu[r] = dt[r] * u[r];
        in_range = all(abs(dt[r]) * largest[r] <= Simd<S>(exp2_limit<S>)) && in_range;
      });
      store_channels(room.dt + (t - tokens.begin) * lanes, dt, lanes);
      store_channels(room.dtu + (t - tokens.begin) * lanes, dtu, lanes);
    }
    return in_range;
  }

  /// h = exp(dt A) h + dt u B and C h (2 Re of it where complex) for all tokens. With Keep, h moves on from row to row
  /// of [tokens + 1, state_size, lanes], and the exponentials are kept beside it. With Spread, the states of a whole
  /// strip stand in rows of all features.
  template <bool Broadcast, bool Keep = false, bool Spread = false>
  void move_states(const Planes<const S*, P>& a, const Planes<S*, P>& h,
                   const Planes<S*, P>& decays = {}) const noexcept {
    if (load_tokens(a)) [[likely]] {
      move_states_within<Broadcast, Keep, Spread, true>(a, h, decays);
    } else {
      move_states_within<Broadcast, Keep, Spread, false>(a, h, decays);
    }
  }

  /// y = (C h + D u) silu(z)
  [[gnu::noinline, gnu::flatten]] void write_outputs(const SequenceView<S>& y) const noexcept {
    SelectiveLanes<S> skip;
    if (p.skip != nullptr) skip = load_channels(p.skip + strip.first, strip.count);
    for (Index t = tokens.begin; t < tokens.end; ++t) {
      SelectiveLanes<S> out = load_channels(room.read + (t - tokens.begin) * lanes, lanes);
      if (p.skip != nullptr) {
        const SelectiveLanes<S> u = load_channels(in.u.token(member, t) + strip.first, strip.count);
        for_each_register([&](std::size_t r) { out[r] = fma(skip[r], u[r], out[r]); });
      }
      if (in.z.data != nullptr) {
        const SelectiveLanes<S> z = load_channels(in.z.token(member, t) + strip.first, strip.count);
        for_each_register([&](std::size_t r) { out[r] = out[r] * silu<Math>(z[r]); });
      }
      store_channels(y.token(member, t) + strip.first, out, strip.count);
    }
  }

 private:
  template <bool Broadcast, bool Keep, bool Spread, bool InRange>
  [[gnu::noinline, gnu::flatten]] void move_states_within(Planes<const S*, P> a, Planes<S*, P> h,
                                                          Planes<S*, P> decays) const noexcept {
    constexpr FullLanes<S> full;
    const Index state_size = p.layout.state_size, size = state_size * lanes;
    const Index row = Spread ? p.layout.features : lanes;
    for (Index i = 0; i < tokens.size(); ++i) {
      ahead.ask();
      const SelectiveWeights<S, P, Broadcast> w = weights<Broadcast>(tokens.begin + i);
      const SelectiveLanes<S> dt = load_channels(room.dt + i * lanes, lanes);
      const SelectiveLanes<S> dtu = load_channels(room.dtu + i * lanes, lanes);
      const Planes<S*, P> from = h;
      if constexpr (Keep) h = advance(h, size);
      SelectiveLanes<S> read;
      for_each_register([&](std::size_t r) { read[r] = Simd<S>(S{0}); });
      for (Index n = 0; n < state_size; ++n) {
        for_each_register([&](std::size_t r) {
          const Index lane = n * lanes + static_cast<Index>(r) * simd_width<S>;
          const Index at = n * row + static_cast<Index>(r) * simd_width<S>;
          const Planes<Simd<S>, P> decay = selective_decay<InRange, S>(dt[r], load_planes(full, a, lane));
          Planes<Simd<S>, P> next = w.at(w.B, n, r);
          for (Simd<S>& plane : next) plane = dtu[r] * plane;
          next = multiply_add(decay, load_planes(full, from, at), next);
          store_planes(full, h, at, next);
          if constexpr (Keep) store_planes(full, decays, i * size + lane, decay);
          read[r] = add_real_product(w.at(w.C, n, r), next, read[r]);
        });
      }
      if constexpr (P == 2) for_each_register([&](std::size_t r) { read[r] = read[r] + read[r]; });
      store_channels(room.read + i * lanes, read, lanes);
    }
  }
};

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
