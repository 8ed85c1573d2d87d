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
/// of null data, and with the first block B and C. None of a single block: its rows follow each other in memory, which
/// the hardware foresees.
template <Scalar S>
[[nodiscard]] RowsAhead<S> selective_rows(const SelectiveLayout& layout, Index block, Index member, TokenRange tokens,
                                          std::initializer_list<SequenceView<const S>> sequences,
                                          const SelectiveInputs<S>& in) noexcept {
  RowsAhead<S> ahead;
  if (layout.blocks() == 1) return ahead;
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

/// Room for what some tokens are for some strips, [strips, tokens, lanes] each; and for the A, B and C of a strip where
/// these are not packed.
template <Scalar S, std::size_t P>
struct SelectiveRoom {
  Index tokens;
  S* dt;
  S* dtu;
  S* read;  ///< C h
  S* A;     ///< [P * state_size + 1, lanes]
  S* B;     ///< [P, state_size, lanes]
  S* C;

  [[nodiscard]] static constexpr Index strip_size(const SelectiveLayout& layout) noexcept {
    return static_cast<Index>(P) * layout.strip_size();
  }
  [[nodiscard]] static constexpr Index size(const SelectiveLayout& layout, Index strips, Index tokens) noexcept {
    return 3 * strips * tokens * layout.lanes + 3 * strip_size(layout) + layout.lanes;
  }
  SelectiveRoom(const SelectiveLayout& layout, Index strips, Index most_tokens, S* memory) noexcept
      : tokens(most_tokens),
        dt(memory),
        dtu(dt + strips * tokens * layout.lanes),
        read(dtu + strips * tokens * layout.lanes),
        A(read + strips * tokens * layout.lanes),
        B(A + strip_size(layout) + layout.lanes),
        C(B + strip_size(layout)) {}

  /// Of token i and strip j.
  [[nodiscard]] constexpr Index at(Index i, Index j) const noexcept { return (j * tokens + i) * selective_lanes<S>; }
};

/// A few tokens of some strips of one batch member, several where A is packed, in three passes: what does not depend on
/// the states, the states, strip by strip, and what is made of them. The first and the last have no chain from token to
/// token to wait for. None is inlined, so that each has the registers for itself.
template <class Math, Scalar S, std::size_t P>
struct SelectivePiece {
  static constexpr Index lanes = selective_lanes<S>;

  const SelectiveParameters<S, P>& p;
  const SelectiveInputs<S>& in;
  SelectiveStrip strips;
  Index number;  ///< of the first strip
  Index member;
  TokenRange tokens;
  SelectiveRoom<S, P> room;
  RowsAhead<S>& ahead;
  const S* first_A = p.A.strip(strip(0), number, lanes, room.A);

  [[nodiscard]] Index strip_count() const noexcept { return (strips.count + lanes - 1) / lanes; }
  [[nodiscard, gnu::always_inline]] Index count(Index j) const noexcept {
    return std::min(lanes, strips.count - j * lanes);
  }
  [[nodiscard]] SelectiveStrip strip(Index j) const noexcept {
    return {strips.first + j * lanes, count(j), strips.group};
  }
  [[nodiscard]] Planes<const S*, P> A(Index j) const noexcept {
    return planes_at<P>(first_A + j * p.A.rows() * lanes, p.layout.strip_size());
  }

  /// B_t and C_t of strip j.
  template <bool Broadcast>
  [[nodiscard, gnu::always_inline]] SelectiveWeights<S, P, Broadcast> weights(Index t, Index j) const noexcept {
    const Index states = p.layout.state_size;
    const auto variable = [&](const SequenceView<const S>& sequence) {
      return planes_at<P>(sequence.token(member, t) + strips.group * states, p.layout.groups * states);
    };
    if constexpr (Broadcast) {
      return {variable(in.B), variable(in.C)};
    } else {
      const auto rows = [&](const SelectiveMatrix<S, P>& constant, const SequenceView<const S>& sequence, S* own) {
        const S* values = own;
        if (sequence.data == nullptr) {
          values = constant.strip(strip(j), number + j, lanes, own);
        } else {
          for (const S* row : variable(sequence)) {
            for (Index n = 0; n < states; ++n, own += lanes) std::fill_n(own, lanes, row[n]);
          }
        }
        return planes_at<P>(values, p.layout.strip_size());
      };
      return {rows(p.B, in.B, room.B), rows(p.C, in.C, room.C)};
    }
  }

  /// What a sequence has of the piece's tokens and channels, and strip j of token i of it.
  template <class T>
  [[nodiscard, gnu::always_inline]] MatrixView<T> channels(const SequenceView<T>& sequence) const noexcept {
    if (sequence.data == nullptr) return {};
    return {sequence.token(member, tokens.begin) + strips.first, tokens.size(), strips.count, sequence.time_stride};
  }
  [[nodiscard, gnu::always_inline]] SelectiveLanes<S> load_strip(const MatrixView<const S>& x, Index i,
                                                                 Index j) const noexcept {
    return load_channels(x.row(i) + j * lanes, count(j));
  }
  /// The same of a parameter.
  [[nodiscard, gnu::always_inline]] SelectiveLanes<S> load_strip(const S* parameter, Index j) const noexcept {
    return load_channels(parameter + strips.first + j * lanes, count(j));
  }
  /// s = delta + delta_bias
  [[nodiscard, gnu::always_inline]] SelectiveLanes<S> load_delta(const MatrixView<const S>& delta, Index i,
                                                                 Index j) const noexcept {
    SelectiveLanes<S> s = load_strip(delta, i, j);
    if (p.delta_bias != nullptr) {
      const SelectiveLanes<S> bias = load_strip(p.delta_bias, j);
      for_each_register([&](std::size_t r) { s[r] = s[r] + bias[r]; });
    }
    return s;
  }

  /// dt and dt u. Whether all |dt A| are within the range of the exponential.
  [[nodiscard, gnu::noinline, gnu::flatten]] bool load_tokens() const noexcept {
    const MatrixView<const S> u = channels(in.u), delta = channels(in.delta);
    if (p.delta_softplus) {
      for_each([&](Index i, Index j) {
        SelectiveLanes<S> s = load_delta(delta, i, j);
        for_each_register([&](std::size_t r) { s[r] = softplus_exponential<Math>(s[r]); });
        store_channels(room.dt + room.at(i, j), s, lanes);
      });
    }
    bool in_range = true;
    for_each([&](Index i, Index j) {
      const SelectiveLanes<S> largest = load_channels(A(j).back() + p.layout.strip_size(), lanes);
      SelectiveLanes<S> dt = load_delta(delta, i, j), dtu = load_strip(u, i, j);
      if (p.delta_softplus) {
        const SelectiveLanes<S> e = load_channels(room.dt + room.at(i, j), lanes);
        for_each_register([&](std::size_t r) { dt[r] = softplus_from<Math>(e[r], dt[r]); });
      }
      for_each_register([&](std::size_t r) {
        dtu[r] = dt[r] * dtu[r];
        in_range = all(abs(dt[r]) * largest[r] <= Simd<S>(exp2_limit<S>)) && in_range;
      });
      store_channels(room.dt + room.at(i, j), dt, lanes);
      store_channels(room.dtu + room.at(i, j), dtu, lanes);
    });
    return in_range;
  }

  /// h = exp(dt A) h + dt u B and C h (2 Re of it where complex) of strip j for all tokens. With Keep, h moves on from
  /// row to row of [tokens + 1, state_size, lanes], and the exponentials are kept beside it. With Spread, the states of
  /// a whole strip stand in rows of all features.
  template <bool Broadcast, bool Keep = false, bool Spread = false>
  void move_states(bool in_range, Index j, const Planes<S*, P>& h, const Planes<S*, P>& decays = {}) const noexcept {
    if (in_range) [[likely]] {
      move_states_within<Broadcast, Keep, Spread, true>(j, A(j), h, decays);
    } else {
      move_states_within<Broadcast, Keep, Spread, false>(j, A(j), h, decays);
    }
  }

  /// y = (C h + D u) silu(z)
  [[gnu::noinline, gnu::flatten]] void write_outputs(const SequenceView<S>& y) const noexcept {
    const MatrixView<const S> u = channels(in.u), z = channels(in.z);
    const MatrixView<S> outputs = channels(y);
    for_each([&](Index i, Index j) {
      SelectiveLanes<S> out = load_read(u, i, j);
      if (in.z.data != nullptr) {
        const SelectiveLanes<S> gate = load_strip(z, i, j);
        for_each_register([&](std::size_t r) { out[r] = out[r] * silu<Math>(gate[r]); });
      }
      store_channels(outputs.row(i) + j * lanes, out, count(j));
    });
  }

  /// C h + D u
  [[nodiscard, gnu::always_inline]] SelectiveLanes<S> load_read(const MatrixView<const S>& inputs, Index i,
                                                                Index j) const noexcept {
    SelectiveLanes<S> read = load_channels(room.read + room.at(i, j), lanes);
    if (p.skip != nullptr) {
      const SelectiveLanes<S> skip = load_strip(p.skip, j), u = load_strip(inputs, i, j);
      for_each_register([&](std::size_t r) { read[r] = fma(skip[r], u[r], read[r]); });
    }
    return read;
  }

  /// Calls f(i, j) for the tokens and, of each, the strips.
  template <class F>
  [[gnu::always_inline]] void for_each(F&& f) const noexcept {
    for (Index i = 0, strips_of_each = strip_count(); i < tokens.size(); ++i) {
      for (Index j = 0; j < strips_of_each; ++j) f(i, j);
    }
  }

 private:
  template <bool Broadcast, bool Keep, bool Spread, bool InRange>
  [[gnu::noinline, gnu::flatten]] void move_states_within(Index j, Planes<const S*, P> a, Planes<S*, P> h,
                                                          Planes<S*, P> decays) const noexcept {
    constexpr FullLanes<S> full;
    const Index state_size = p.layout.state_size, size = state_size * lanes;
    const Index row = Spread ? p.layout.features : lanes;
    for (Index i = 0; i < tokens.size(); ++i) {
      ahead.ask();
      const SelectiveWeights<S, P, Broadcast> w = weights<Broadcast>(tokens.begin + i, j);
      const SelectiveLanes<S> dt = load_channels(room.dt + room.at(i, j), lanes);
      const SelectiveLanes<S> dtu = load_channels(room.dtu + room.at(i, j), lanes);
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
      store_channels(room.read + room.at(i, j), read, lanes);
    }
  }
};

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
