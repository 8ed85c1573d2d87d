#pragma once

#include <stepscan/ops/activation.hpp>
#include <stepscan/ops/selective_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gradients of a selective scan's parameters, as these lie in memory; null where there is no such parameter.
template <Scalar S>
struct SelectiveGradient {
  MatrixView<S> A, B, C;  ///< [features, state_size]
  S* skip = nullptr;
  S* delta_bias = nullptr;
};

namespace detail {

/// Room of one worker for one piece of tokens of one strip: its states and decays, and what the forward pass made of
/// the inputs; and for a block, the sums over its channels that give dB and dC.
template <Scalar S>
struct SelectivePieceRoom {
  S* states;  ///< [piece + 1, state_size, lanes]
  S* decays;  ///< [piece, state_size, lanes]
  S* read;    ///< [piece, lanes]: y before the gate
  S* dB;      ///< [piece, state_size, one register]
  S* dC;
  S* weights;  ///< selective_room

  [[nodiscard]] static Index size(const SelectiveLayout& layout) noexcept {
    return (2 * selective_piece + 1) * layout.strip_size() + selective_piece * layout.lanes + 2 * sums_size(layout) +
           selective_room<S>(layout);
  }
  [[nodiscard]] static Index sums_size(const SelectiveLayout& layout) noexcept {
    return selective_piece * layout.state_size * simd_width<S>;
  }
  SelectivePieceRoom(const SelectiveLayout& layout, S* memory) noexcept
      : states(memory),
        decays(states + (selective_piece + 1) * layout.strip_size()),
        read(decays + selective_piece * layout.strip_size()),
        dB(read + selective_piece * layout.lanes),
        dC(dB + sums_size(layout)),
        weights(dC + sums_size(layout)) {}
};

/// Sums of one sequence of the executors, a block of one batch member, over its tokens.
template <Scalar S>
struct SelectiveSums {
  S* A;  ///< [block_size], as B and C
  S* B;
  S* C;
  S* skip;  ///< [strips of a block, lanes]
  S* delta_bias;

  [[nodiscard]] static Index size(const SelectiveLayout& layout) noexcept {
    return 3 * layout.block_size() + 2 * layout.strips_per_block * layout.lanes;
  }
  SelectiveSums(const SelectiveLayout& layout, S* memory) noexcept
      : A(memory),
        B(A + layout.block_size()),
        C(B + layout.block_size()),
        skip(C + layout.block_size()),
        delta_bias(skip + layout.strips_per_block * layout.lanes) {}
};

/// With g_t the cotangent of h_t, m that which comes from behind, and dyo_t = dy_t silu(z_t):
///   g_t = dyo_t C_t + m,   m' = exp(dt_t A) g_t,   dC_t = sum_d dyo_t h_t,   dB_t = sum_d g_t dt_t u_t
///   du_t = D dyo_t + dt_t sum_n g_t B_t,   ddt_t = sum_n (m' A h_(t-1) + g_t B_t u_t),   dA = sum_t dt_t m' h_(t-1)
/// Pieces of tokens are visited from the last to the first; the states of a piece are computed again from the one that
/// entered it.
template <Scalar S>
struct SelectiveScanBackward {
  SelectiveParameters<S> p;
  SelectiveInputs<S> in;
  SequenceView<const S> dy;
  SelectiveSequences<S> d;
  ScanGrid grid;
  const S* checkpoints;
  MatrixView<S> cotangents;  ///< m [sequences, block_size]
  S* sums;                   ///< SelectiveSums of every sequence
  S* partial;                ///< dB and dC of every block [sequences, time, 2, state_size]
  S* rooms;

  using Forward = SelectiveScanOperation<Exact, S>;

  [[nodiscard]] Index member(Index s) const noexcept { return s / p.layout.blocks(); }
  [[nodiscard]] Index length(Index s) const noexcept { return in.u.length(member(s)); }
  [[nodiscard]] S* state(Index s, Index) const noexcept { return cotangents.row(s); }

  void emit(const ScanJob& job, S* m) const noexcept {
    const SelectivePieceRoom<S> room(p.layout, rooms + job.worker * SelectivePieceRoom<S>::size(p.layout));
    const SelectiveSums<S> sum(p.layout, sums + job.sequence * SelectiveSums<S>::size(p.layout));
    const bool broadcast = in.B.data != nullptr && in.C.data != nullptr;
    const Index block = job.sequence % p.layout.blocks();
    TokenRange piece{job.tokens.begin + (job.tokens.size() - 1) / selective_piece * selective_piece, job.tokens.end};
    for (; piece.begin >= job.tokens.begin; piece = {piece.begin - selective_piece, piece.begin}) {
      std::fill_n(room.dB, 2 * SelectivePieceRoom<S>::sums_size(p.layout), S{0});
      p.layout.for_each_strip(block, [&](const SelectiveStrip& strip, Index number) {
        const SelectiveStripData<S> data{p, strip, number, room.weights};
        const Index at = number % p.layout.strips_per_block;
        const S* entered =
            checkpoints +
            (job.sequence * Forward::selective_pieces(grid) + Forward::selective_piece_of(grid, piece.begin)) *
                p.layout.block_size() +
            at * p.layout.strip_size();
        if (broadcast) {
          run<true>(data, member(job.sequence), piece, room, sum, at, entered, m);
        } else {
          run<false>(data, member(job.sequence), piece, room, sum, at, entered, m);
        }
      });
      write_partial(job.sequence, piece, room);
    }
  }

 private:
  template <bool Broadcast>
  void run(const SelectiveStripData<S>& data, Index b, TokenRange piece, const SelectivePieceRoom<S>& room,
           const SelectiveSums<S>& sum, Index at, const S* entered, S* m) const noexcept {
    const Index size = p.layout.strip_size(), lanes = p.layout.lanes;
    const S* a = data.A();
    std::copy_n(entered, size, room.states);
    for (Index t = piece.begin; t < piece.end; ++t) {
      const Index i = t - piece.begin;
      const auto token = load_token<Exact>(p, data.strip, in.u.token(b, t), in.delta.token(b, t));
      const auto weights = data.template weights<Broadcast>(token_or_null(in.B, b, t), token_or_null(in.C, b, t));
      S* before = room.states + i * size;
      SelectiveLanes<S> read = move_states<true>(a, p.layout.state_size, token, weights,
                                                 {before, before + size, lanes, room.decays + i * size});
      if (p.skip != nullptr) {
        const SelectiveLanes<S> skip = load_channels(p.skip + data.strip.first, data.strip.count);
        for_each_register([&](std::size_t r) { read[r] = fma(skip[r], token.u[r], read[r]); });
      }
      store_channels(room.read + i * lanes, read, lanes);
    }
    for (Index t = piece.end - 1; t >= piece.begin; --t) {
      token<Broadcast>(data, a, b, t, t - piece.begin, room, sum, at, m + at * size);
    }
  }

  template <bool Broadcast>
  void token(const SelectiveStripData<S>& data, const S* a, Index b, Index t, Index i,
             const SelectivePieceRoom<S>& room, const SelectiveSums<S>& sum, Index at, S* m) const noexcept {
    const SelectiveStrip& strip = data.strip;
    const Index size = p.layout.strip_size(), lanes = p.layout.lanes;
    const SelectiveLanes<S> s = shifted_delta(p, strip, in.delta.token(b, t));
    const SelectiveToken<S> token = load_token<Exact>(p, strip, in.u.token(b, t), in.delta.token(b, t));
    const auto weights = data.template weights<Broadcast>(token_or_null(in.B, b, t), token_or_null(in.C, b, t));
    const SelectiveLanes<S> dread = pull_gate(strip, b, t, room.read + i * lanes);

    SelectiveLanes<S> through_B, through_decay;
    for_each_register([&](std::size_t r) { through_B[r] = through_decay[r] = Simd<S>(S{0}); });
    const S* before = room.states + i * size;
    const S* decays = room.decays + i * size;
    for (Index n = 0; n < p.layout.state_size; ++n) {
      Simd<S> dB(S{0}), dC(S{0});
      for_each_register([&](std::size_t r) {
        const Index lane = n * lanes + static_cast<Index>(r) * simd_width<S>;
        const Simd<S> g = fma(dread[r], weights.at(weights.C, n, r), load(m + lane));
        const Simd<S> decayed = g * load(decays + lane);
        const Simd<S> ddecay = decayed * load(before + lane);
        store(m + lane, decayed);
        const Simd<S> from_B = g * token.dtu[r], from_C = dread[r] * load(before + size + lane);
        if constexpr (Broadcast) {
          dB = dB + from_B;
          dC = dC + from_C;
        } else {
          add_constant(sum.B, in.B.data == nullptr, at * size + lane, from_B, dB);
          add_constant(sum.C, in.C.data == nullptr, at * size + lane, from_C, dC);
        }
        S* dA = sum.A + at * size + lane;
        store(dA, fma(token.dt[r], ddecay, load(dA)));
        through_B[r] = fma(g, weights.at(weights.B, n, r), through_B[r]);
        through_decay[r] = fma(ddecay, load(a + lane), through_decay[r]);
      });
      const Index sums_at = (i * p.layout.state_size + n) * simd_width<S>;
      store(room.dB + sums_at, load(room.dB + sums_at) + dB);
      store(room.dC + sums_at, load(room.dC + sums_at) + dC);
    }

    constexpr S ln2 = S(0.69314718055994530942);
    SelectiveLanes<S> du, ds;
    for_each_register([&](std::size_t r) {
      du[r] = token.dt[r] * through_B[r];
      ds[r] = fma(token.u[r], through_B[r], Simd<S>(ln2) * through_decay[r]);
      if (p.delta_softplus) ds[r] = ds[r] * sigmoid(s[r]);
    });
    if (p.skip != nullptr) {
      const SelectiveLanes<S> skip = load_channels(p.skip + strip.first, strip.count);
      for_each_register([&](std::size_t r) { du[r] = fma(skip[r], dread[r], du[r]); });
    }
    store_channels(d.u.token(b, t) + strip.first, du, strip.count);
    store_channels(d.delta.token(b, t) + strip.first, ds, strip.count);
    for_each_register([&](std::size_t r) {
      const Index lane = at * lanes + static_cast<Index>(r) * simd_width<S>;
      store(sum.skip + lane, fma(dread[r], token.u[r], load(sum.skip + lane)));
      store(sum.delta_bias + lane, load(sum.delta_bias + lane) + ds[r]);
    });
  }

  /// dyo_t; writes dz_t = dy_t yo_t silu'(z_t).
  [[nodiscard, gnu::always_inline]] SelectiveLanes<S> pull_gate(const SelectiveStrip& strip, Index b, Index t,
                                                                const S* read) const noexcept {
    SelectiveLanes<S> dread = load_channels(dy.token(b, t) + strip.first, strip.count);
    if (in.z.data == nullptr) return dread;
    const SelectiveLanes<S> z = load_channels(in.z.token(b, t) + strip.first, strip.count);
    const SelectiveLanes<S> ungated = load_channels(read, p.layout.lanes);
    SelectiveLanes<S> dz;
    for_each_register([&](std::size_t r) {
      dz[r] = dread[r] * ungated[r] * SiluActivation::slope_at(z[r]);
      dread[r] = dread[r] * silu(z[r]);
    });
    store_channels(d.z.token(b, t) + strip.first, dz, strip.count);
    return dread;
  }

  /// Adds to the sum over the channels of a block, or over the tokens of a channel.
  [[gnu::always_inline]] static void add_constant(S* over_tokens, bool constant, Index at, Simd<S> value,
                                                  Simd<S>& over_channels) noexcept {
    if (constant) {
      store(over_tokens + at, load(over_tokens + at) + value);
    } else {
      over_channels = over_channels + value;
    }
  }

  void write_partial(Index s, TokenRange piece, const SelectivePieceRoom<S>& room) const noexcept {
    const Index states = p.layout.state_size;
    for (Index i = 0; i < piece.size(); ++i) {
      S* out = partial + (s * grid.time + piece.begin + i) * 2 * states;
      for (Index n = 0; n < states; ++n) {
        out[n] = sum_of(room.dB + (i * states + n) * simd_width<S>);
        out[states + n] = sum_of(room.dC + (i * states + n) * simd_width<S>);
      }
    }
  }
  static S sum_of(const S* lanes) noexcept { return stepscan::sum(load(lanes)); }
};

/// dB and dC of every token: the sums over the blocks of a group, in their order.
template <Scalar S>
void add_partial(const SelectiveLayout& layout, const SelectiveInputs<S>& in, const S* partial,
                 const SelectiveSequences<S>& d) noexcept {
  const Index states = layout.state_size;
  for (Index b = 0; b < in.u.batch; ++b) {
    for (Index t = 0; t < in.u.length(b); ++t) {
      for (Index group = 0; group < layout.groups; ++group) {
        const auto add = [&](const SequenceView<S>& to, Index offset) {
          if (to.data == nullptr) return;
          S* out = to.token(b, t) + group * states;
          std::fill_n(out, states, S{0});
          for (Index j = 0; j < layout.blocks_per_group; ++j) {
            const Index s = b * layout.blocks() + group * layout.blocks_per_group + j;
            const S* from = partial + ((s * in.u.time + t) * 2 + offset) * states;
            for (Index n = 0; n < states; ++n) out[n] += from[n];
          }
        };
        add(d.B, 0);
        add(d.C, 1);
      }
    }
  }
}

/// Adds the sums of all members to the gradients, in the order of the batch.
template <Scalar S>
void add_sums(const SelectiveLayout& layout, Index batch, const S* sums,
              const SelectiveGradient<S>& gradient) noexcept {
  for (Index s = 0; s < batch * layout.blocks(); ++s) {
    const SelectiveSums<S> sum(layout, const_cast<S*>(sums) + s * SelectiveSums<S>::size(layout));
    layout.for_each_strip(s % layout.blocks(), [&](const SelectiveStrip& strip, Index number) {
      const Index at = number % layout.strips_per_block;
      const auto add_matrix = [&](const MatrixView<S>& to, const S* from) {
        if (to.data == nullptr) return;
        for (Index i = 0; i < strip.count; ++i) {
          for (Index n = 0; n < layout.state_size; ++n) {
            to(strip.first + i, n) += from[at * layout.strip_size() + n * layout.lanes + i];
          }
        }
      };
      const auto add_vector = [&](S* to, const S* from) {
        for (Index i = 0; to != nullptr && i < strip.count; ++i) to[strip.first + i] += from[at * layout.lanes + i];
      };
      add_matrix(gradient.A, sum.A);
      add_matrix(gradient.B, sum.B);
      add_matrix(gradient.C, sum.C);
      add_vector(gradient.skip, sum.skip);
      add_vector(gradient.delta_bias, sum.delta_bias);
    });
  }
}

}  // namespace detail

/// The backward pass of selective_scan by the same schedule, from the checkpoints that it kept. dh [batch, state_size,
/// features] holds the cotangent of the last states and then that of the first ones; d takes the cotangents of the
/// inputs, whose padding the caller clears. Adds to the gradients. Blocks of channels run on threads.
template <Scalar S>
void selective_scan_backward(const SelectiveParameters<S>& p, const SelectiveInputs<S>& in, const S* checkpoints,
                             SequenceView<const S> dy, S* dh, const SelectiveSequences<S>& d,
                             const SelectiveGradient<S>& gradient, const ScanSchedule& schedule, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SelectiveLayout& layout = p.layout;
  const ScanGrid grid = detail::selective_grid<S>(layout, in.u.batch, in.u.time, schedule, Direction::backward);
  const Index size = layout.block_size(), sum_size = grid.sequences * detail::SelectiveSums<S>::size(layout);
  const MatrixView<S> cotangents = workspace.matrix<S, Dynamic>(grid.sequences, size);
  S* sums = workspace.take<S>(sum_size);
  std::fill_n(sums, sum_size, S{0});
  S* partial = workspace.take<S>(grid.sequences * in.u.time * 2 * layout.state_size);
  S* rooms = workspace.take<S>(grid.workers * detail::SelectivePieceRoom<S>::size(layout));
  const auto member = [&](Index s) { return dh + s / layout.blocks() * layout.state_size * layout.features; };
  for (Index s = 0; s < grid.sequences; ++s) pack_states<S>(layout, s % layout.blocks(), member(s), cotangents.row(s));
  scan_chunked(detail::SelectiveScanBackward<S>{p, in, dy, d, grid, checkpoints, cotangents, sums, partial, rooms},
               grid);
  for (Index s = 0; s < grid.sequences; ++s)
    unpack_states<S>(layout, s % layout.blocks(), cotangents.row(s), member(s));
  detail::add_partial<S>(layout, in, partial, d);
  detail::add_sums<S>(layout, in.u.batch, sums, gradient);
}

}  // namespace stepscan::inline STEPSCAN_ISA
