#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/selective_layout.hpp>
#include <stepscan/scan/executors.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The parameters, of which `skip` (D), `delta_bias` may be null; B and C are used where the inputs do not bring their
/// own. A has the scale log2(e) and a row of largest numbers.
template <Scalar S>
struct SelectiveParameters {
  SelectiveLayout layout;
  SelectiveMatrix<S> A;
  SelectiveMatrix<S> B;
  SelectiveMatrix<S> C;
  const S* skip = nullptr;
  const S* delta_bias = nullptr;
  bool delta_softplus = true;
};

/// The parameters with A, and B and C where there are such, as strips in the workspace.
template <Scalar S>
[[nodiscard]] SelectiveParameters<S> pack_parameters(SelectiveParameters<S> p, Workspace& workspace) {
  for (SelectiveMatrix<S>* matrix : {&p.A, &p.B, &p.C}) {
    if (matrix->packed != nullptr || matrix->plain.data == nullptr) continue;
    *matrix = matrix->pack(p.layout, workspace.take<S>(matrix->packed_size(p.layout)));
  }
  return p;
}

/// u, delta [batch, time, features]; B, C [batch, time, groups * state_size], or of null data: constant parameters;
/// z [batch, time, features], or of null data: no gate. Lengths are those of u. Also their cotangents.
template <class T>
struct SelectiveSequences {
  SequenceView<T> u, delta, B, C, z;
};
template <Scalar S>
using SelectiveInputs = SelectiveSequences<const S>;

namespace detail {

template <Scalar S>
inline constexpr S selective_log2_e = S(1.4426950408889634074);

/// Strips go through this many tokens in turn: the inputs of a block's tokens stay in the second cache level, and the
/// states that a backward pass computes again in the first two.
inline constexpr Index selective_piece = 32;

/// s_t = delta_t + delta_bias
template <Scalar S>
[[gnu::always_inline]] inline SelectiveLanes<S> shifted_delta(const SelectiveParameters<S>& p,
                                                              const SelectiveStrip& strip, const S* delta) noexcept {
  SelectiveLanes<S> s = load_channels(delta + strip.first, strip.count);
  if (p.delta_bias != nullptr) {
    const SelectiveLanes<S> bias = load_channels(p.delta_bias + strip.first, strip.count);
    for_each_register([&](std::size_t r) { s[r] = s[r] + bias[r]; });
  }
  return s;
}

/// B_t and C_t: numbers to broadcast, or rows of `lanes` numbers.
template <Scalar S, bool Broadcast>
struct SelectiveWeights {
  const S* B;
  const S* C;

  [[nodiscard, gnu::always_inline]] static Simd<S> at(const S* weights, Index n, std::size_t r) noexcept {
    if constexpr (Broadcast) {
      return Simd<S>(weights[n]);
    } else {
      return load(weights + n * selective_lanes<S> + static_cast<Index>(r) * simd_width<S>);
    }
  }
};

/// Room for what a piece of tokens is for a strip, rows of `lanes` numbers; and for its strips of A, B and C where
/// these are not packed.
template <Scalar S>
struct SelectiveRoom {
  S* dt;
  S* dtu;
  S* read;  ///< C h
  S* A;     ///< [state_size + 1, lanes]
  S* B;     ///< [state_size, lanes]
  S* C;

  [[nodiscard]] static constexpr Index size(const SelectiveLayout& layout) noexcept {
    return 3 * selective_piece * layout.lanes + 3 * layout.strip_size() + layout.lanes;
  }
  SelectiveRoom(const SelectiveLayout& layout, S* memory) noexcept
      : dt(memory),
        dtu(dt + selective_piece * layout.lanes),
        read(dtu + selective_piece * layout.lanes),
        A(read + selective_piece * layout.lanes),
        B(A + layout.strip_size() + layout.lanes),
        C(B + layout.strip_size()) {}
};

/// A few tokens of one strip of one batch member, in three passes: what does not depend on the states, the states, what
/// is made of them. The first and the last have no chain from token to token to wait for. None is inlined, so that each
/// has the registers for itself.
template <class Math, Scalar S>
struct SelectivePiece {
  static constexpr Index lanes = selective_lanes<S>;

  const SelectiveParameters<S>& p;
  const SelectiveInputs<S>& in;
  SelectiveStrip strip;
  Index number;  ///< of the strip
  Index member;
  TokenRange tokens;
  SelectiveRoom<S> room;

  [[nodiscard]] const S* A() const noexcept { return p.A.strip(strip, number, lanes, room.A); }

  /// B_t and C_t.
  template <bool Broadcast>
  [[nodiscard, gnu::always_inline]] SelectiveWeights<S, Broadcast> weights(Index t) const noexcept {
    const Index first = strip.group * p.layout.state_size;
    if constexpr (Broadcast) {
      return {in.B.token(member, t) + first, in.C.token(member, t) + first};
    } else {
      const auto rows = [&](const SelectiveMatrix<S>& constant, const SequenceView<const S>& variable,
                            S* own) -> const S* {
        if (variable.data == nullptr) return constant.strip(strip, number, lanes, own);
        const S* row = variable.token(member, t) + first;
        for (Index n = 0; n < p.layout.state_size; ++n) std::fill_n(own + n * lanes, lanes, row[n]);
        return own;
      };
      return {rows(p.B, in.B, room.B), rows(p.C, in.C, room.C)};
    }
  }

  /// dt and dt u. Whether all |dt A| are within the range of the exponential.
  [[nodiscard, gnu::noinline, gnu::flatten]] bool load_tokens(const S* a) const noexcept {
    const SelectiveLanes<S> largest = load_channels(a + p.layout.state_size * lanes, lanes);
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

  /// h = exp(dt A) h + dt u B and C h for all tokens. With Keep, h moves on from row to row of [tokens + 1, state_size,
  /// lanes], and the exponentials are kept beside it.
  template <bool Broadcast, bool Keep = false>
  void move_states(const S* a, S* h, S* decays = nullptr) const noexcept {
    if (load_tokens(a)) [[likely]] {
      move_states_within<Broadcast, Keep, true>(a, h, decays);
    } else {
      move_states_within<Broadcast, Keep, false>(a, h, decays);
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
  template <bool Broadcast, bool Keep, bool InRange>
  [[gnu::noinline, gnu::flatten]] void move_states_within(const S* a, S* h, S* decays) const noexcept {
    const Index state_size = p.layout.state_size, size = state_size * lanes;
    for (Index i = 0; i < tokens.size(); ++i) {
      const SelectiveWeights<S, Broadcast> w = weights<Broadcast>(tokens.begin + i);
      const SelectiveLanes<S> dt = load_channels(room.dt + i * lanes, lanes);
      const SelectiveLanes<S> dtu = load_channels(room.dtu + i * lanes, lanes);
      const S* from = h;
      if constexpr (Keep) h += size;
      SelectiveLanes<S> read;
      for_each_register([&](std::size_t r) { read[r] = Simd<S>(S{0}); });
      for (Index n = 0; n < state_size; ++n) {
        for_each_register([&](std::size_t r) {
          const Index lane = n * lanes + static_cast<Index>(r) * simd_width<S>;
          const Simd<S> rate = load(a + lane);
          const Simd<S> decay = InRange ? exp2_product_in_range(dt[r], rate) : exp2_product(dt[r], rate);
          const Simd<S> next = fma(decay, load(from + lane), dtu[r] * w.at(w.B, n, r));
          store(h + lane, next);
          if constexpr (Keep) store(decays + i * size + lane, decay);
          read[r] = fma(w.at(w.C, n, r), next, read[r]);
        });
      }
      store_channels(room.read + i * lanes, read, lanes);
    }
  }
};

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
