#pragma once

#include <stepscan/ops/activation.hpp>
#include <stepscan/ops/selective_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The gradients of a selective scan's parameters, as these lie in memory; null where there is no such parameter.
template <Scalar S, std::size_t P = 1>
struct SelectiveGradient {
  Planes<MatrixView<S>, P> A, B, C;  ///< [features, state_size]
  S* skip = nullptr;
  S* delta_bias = nullptr;
};

namespace detail {

/// Room of one worker for one piece of tokens of a block: a strip's states and decays; the sums over the channels of
/// the block that give dB and dC; and what the forward pass made of the inputs.
template <Scalar S, std::size_t P>
struct SelectivePieceRoom {
  static constexpr Index planes = static_cast<Index>(P);

  Planes<S*, P> states;  ///< [piece + 1, state_size, lanes]
  Planes<S*, P> decays;  ///< [piece, state_size, lanes]
  S* dread;              ///< dyo [strips, piece, lanes]
  S* through_B;          ///< of a strip [piece, lanes], sum over n of Re(conj(B) g)
  S* through_decay;      ///< the same, sum over n of Re(conj(A) m' conj(h)), A in units of log2
  S* weight_sums;        ///< [piece, state_size, 2 P, one register]: the planes of dB, then those of dC
  S* forward;            ///< a SelectiveRoom of the block

  [[nodiscard]] static Index states_size(const SelectiveLayout& layout) noexcept {
    return (selective_piece + 1) * layout.strip_size();
  }
  [[nodiscard]] static Index decays_size(const SelectiveLayout& layout) noexcept {
    return selective_piece * layout.strip_size();
  }
  [[nodiscard]] static Index sums_size(const SelectiveLayout& layout) noexcept {
    return 2 * planes * selective_piece * layout.state_size * simd_width<S>;
  }
  [[nodiscard]] static Index size(const SelectiveLayout& layout) noexcept {
    return worker_stride<S>(planes * (states_size(layout) + decays_size(layout)) +
                            (layout.strips_per_block + 2) * selective_piece * layout.lanes + sums_size(layout) +
                            SelectiveRoom<S, P>::size(layout, layout.strips_per_block, selective_piece));
  }
  SelectivePieceRoom(const SelectiveLayout& layout, S* memory) noexcept
      : states(planes_at<P>(memory, states_size(layout))),
        decays(planes_at<P>(memory + planes * states_size(layout), decays_size(layout))),
        dread(memory + planes * (states_size(layout) + decays_size(layout))),
        through_B(dread + layout.strips_per_block * selective_piece * layout.lanes),
        through_decay(through_B + selective_piece * layout.lanes),
        weight_sums(through_decay + selective_piece * layout.lanes),
        forward(weight_sums + sums_size(layout)) {}
};

/// Sums of one sequence of the executors, a block of one batch member, over its tokens.
template <Scalar S, std::size_t P>
struct SelectiveSums {
  Planes<S*, P> A;  ///< [block_size], as B and C
  Planes<S*, P> B;
  Planes<S*, P> C;
  S* skip;  ///< [strips of a block, lanes]
  S* delta_bias;

  [[nodiscard]] static Index matrix_size(const SelectiveLayout& layout) noexcept {
    return static_cast<Index>(P) * layout.block_size();
  }
  [[nodiscard]] static Index size(const SelectiveLayout& layout) noexcept {
    return 3 * matrix_size(layout) + 2 * layout.strips_per_block * layout.lanes;
  }
  SelectiveSums(const SelectiveLayout& layout, S* memory) noexcept
      : A(planes_at<P>(memory, layout.block_size())),
        B(advance(A, matrix_size(layout))),
        C(advance(B, matrix_size(layout))),
        skip(memory + 3 * matrix_size(layout)),
        delta_bias(skip + layout.strips_per_block * layout.lanes) {}
};

/// With g_t the cotangent of h_t, m that which comes from behind, and dyo_t = dy_t silu(z_t):
///   g_t = dyo_t C_t + m,   m' = exp(dt_t A) g_t,   dC_t = sum_d dyo_t h_t,   dB_t = sum_d g_t dt_t u_t
///   du_t = D dyo_t + dt_t sum_n g_t B_t,   ddt_t = sum_n (m' A h_(t-1) + g_t B_t u_t),   dA = sum_t dt_t m' h_(t-1)
/// Complex factors beside a cotangent are conjugate, real results are real parts, and 2 dyo_t stands for dyo_t.
/// Pieces of tokens are visited from the last to the first; the states of a piece are computed again from the one that
/// entered it.
template <Scalar S, std::size_t P>
struct SelectiveScanBackward {
  SelectiveParameters<S, P> p;
  SelectiveInputs<S> in;
  SequenceView<const S> dy;
  SelectiveSequences<S> d;
  ScanGrid grid;
  const S* checkpoints;
  Planes<MatrixView<S>, P> cotangents;  ///< m [sequences, block_size]
  S* sums;                              ///< SelectiveSums of every sequence
  S* partial;                           ///< dB and dC of every block [sequences, time, 2 P, state_size]
  S* rooms;

  [[nodiscard]] Index member(Index s) const noexcept { return s / p.layout.blocks(); }
  [[nodiscard]] Index length(Index s) const noexcept { return in.u.length(member(s)); }
  [[nodiscard]] Planes<S*, P> state(Index s, Index) const noexcept { return row(cotangents, s); }

  /// The rows that a sequence reads and writes for these tokens.
  [[nodiscard]] RowsAhead<S> rows_ahead(Index s, TokenRange tokens) const noexcept {
    return selective_rows<S>(p.layout, s % p.layout.blocks(), member(s), tokens,
                             {in.u, in.delta, in.z, dy, d.u, d.delta, d.z}, in);
  }

  /// The tokens of a piece, while the rows of what comes next are asked for.
  void pass(const ScanJob& job, const Planes<S*, P>& m, RowsAhead<S> ahead) const noexcept {
    const Room room(p.layout, rooms + job.worker * Room::size(p.layout));
    const SelectiveRoom<S, P> forward(p.layout, p.layout.strips_per_block, selective_piece, room.forward);
    const SelectiveSums<S, P> sum(p.layout, sums + job.sequence * SelectiveSums<S, P>::size(p.layout));
    const bool broadcast = in.B.data != nullptr && in.C.data != nullptr;
    const Index number_of_piece = job.sequence * selective_pieces(grid) + selective_piece_of(grid, job.tokens.begin);
    const Index size = p.layout.block_size(), block = job.sequence % p.layout.blocks();
    const Planes<const S*, P> before = planes_at<P>(checkpoints + number_of_piece * planes * size, size);
    std::fill_n(room.weight_sums, Room::sums_size(p.layout), S{0});
    ahead.spread(p.layout.strips_per_block * job.tokens.size());
    const Piece piece{
        p,       in,   p.layout.channels(block), block * p.layout.strips_per_block, member(job.sequence), job.tokens,
        forward, ahead};
    const bool in_range = piece.load_tokens();
    pull_gate(piece, room);
    for (Index j = 0; j < piece.strip_count(); ++j) {
      const Index first = j * p.layout.strip_size();
      for (std::size_t k = 0; k < P; ++k) std::copy_n(before[k] + first, p.layout.strip_size(), room.states[k]);
      const Places places{advance(m, first), advance(sum.A, first), advance(sum.B, first), advance(sum.C, first)};
      if (broadcast) {
        piece.template move_states<true, true>(in_range, j, room.states, room.decays);
        pull_states<true>(piece, j, room, places);
      } else {
        piece.template move_states<false, true>(in_range, j, room.states, room.decays);
        pull_states<false>(piece, j, room, places);
      }
      write_cotangents(piece, j, room, sum.skip + j * p.layout.lanes, sum.delta_bias + j * p.layout.lanes);
    }
    write_partial(job.sequence, job.tokens, room);
  }

 private:
  using Piece = SelectivePiece<Exact, S, P>;
  using Room = SelectivePieceRoom<S, P>;
  using Numbers = Planes<Simd<S>, P>;
  static constexpr Index lanes = selective_lanes<S>;
  static constexpr Index planes = static_cast<Index>(P);

  /// The cotangents of a strip's states, and sums over tokens.
  struct Places {
    Planes<S*, P> m;
    Planes<S*, P> dA;
    Planes<S*, P> dB;  ///< of constant weights
    Planes<S*, P> dC;
  };

  /// dyo_t = dy_t silu(z_t), and dy_t silu'(z_t) where dz_t will be.
  [[gnu::noinline, gnu::flatten]] void pull_gate(const Piece& piece, const Room& room) const noexcept {
    const MatrixView<const S> outputs = piece.channels(dy), z = piece.channels(in.z);
    const MatrixView<S> dz = piece.channels(d.z);
    piece.for_each([&](Index i, Index j) {
      SelectiveLanes<S> dread = piece.load_strip(outputs, i, j);
      if (in.z.data != nullptr) {
        SelectiveLanes<S> gate = piece.load_strip(z, i, j);
        for_each_register([&](std::size_t r) {
          const Simd<S> dyt = dread[r];
          dread[r] = dyt * silu(gate[r]);
          gate[r] = dyt * SiluActivation::slope_at(gate[r]);
        });
        store_channels(dz.row(i) + j * lanes, gate, piece.count(j));
      }
      store_channels(room.dread + piece.room.at(i, j), dread, lanes);
    });
  }

  /// From the last token to the first: m, dA, and what goes to B, C, dt and u. Never inlined, as the loop of the
  /// forward pass.
  template <bool Broadcast>
  [[gnu::noinline, gnu::flatten]] void pull_states(const Piece& piece, Index j, const Room& room,
                                                   const Places& at) const noexcept {
    constexpr FullLanes<S> full;
    constexpr Index width = simd_width<S>;
    const Index state_size = p.layout.state_size, size = state_size * lanes;
    const Planes<const S*, P> a = piece.A(j);
    const bool constant_B = in.B.data == nullptr, constant_C = in.C.data == nullptr;
    for (Index i = piece.tokens.size() - 1; i >= 0; --i) {
      const SelectiveWeights<S, P, Broadcast> w = piece.template weights<Broadcast>(piece.tokens.begin + i, j);
      const SelectiveLanes<S> dt = load_channels(piece.room.dt + piece.room.at(i, j), lanes);
      const SelectiveLanes<S> dtu = load_channels(piece.room.dtu + piece.room.at(i, j), lanes);
      SelectiveLanes<S> dread = load_channels(room.dread + piece.room.at(i, j), lanes);
      if constexpr (P == 2) for_each_register([&](std::size_t r) { dread[r] = dread[r] + dread[r]; });
      const Planes<S*, P> before = advance(room.states, i * size), decays = advance(room.decays, i * size);
      S* weight_sums = room.weight_sums + i * state_size * 2 * planes * width;
      SelectiveLanes<S> through_B, through_decay;
      for_each_register([&](std::size_t r) { through_B[r] = through_decay[r] = Simd<S>(S{0}); });
      for (Index n = 0; n < state_size; ++n) {
        const Planes<S*, P> dB_sums = planes_at<P>(weight_sums + n * 2 * planes * width, width);
        const Planes<S*, P> dC_sums = advance(dB_sums, planes * width);
        Numbers dB = load_planes(full, dB_sums, 0), dC = load_planes(full, dC_sums, 0);
        for_each_register([&](std::size_t r) {
          const Index lane = n * lanes + static_cast<Index>(r) * width;
          const Numbers g = add_scaled(dread[r], conjugate(w.at(w.C, n, r)), load_planes(full, at.m, lane));
          const Numbers decayed = multiply(conjugate(load_planes(full, decays, lane)), g);
          const Numbers ddecay = multiply(decayed, conjugate(load_planes(full, before, lane)));
          const Numbers h = conjugate(load_planes(full, before, size + lane));
          store_planes(full, at.m, lane, decayed);
          store_planes(full, at.dA, lane, add_scaled(dt[r], ddecay, load_planes(full, at.dA, lane)));
          through_B[r] = add_dot(g, w.at(w.B, n, r), through_B[r]);
          through_decay[r] = add_dot(ddecay, in_log2(load_planes(full, a, lane)), through_decay[r]);
          if constexpr (Broadcast) {
            dB = add_scaled(dtu[r], g, dB);
            dC = add_scaled(dread[r], h, dC);
          } else {
            add_constant(at.dB, lane, constant_B, dtu[r], g, dB);
            add_constant(at.dC, lane, constant_C, dread[r], h, dC);
          }
        });
        store_planes(full, dB_sums, 0, dB);
        store_planes(full, dC_sums, 0, dC);
      }
      store_channels(room.through_B + i * lanes, through_B, lanes);
      store_channels(room.through_decay + i * lanes, through_decay, lanes);
    }
  }

  /// du, ddelta and dz of a strip, and the sums of the first two for D and delta_bias.
  [[gnu::noinline, gnu::flatten]] void write_cotangents(const Piece& piece, Index j, const Room& room, S* dskip,
                                                        S* dbias) const noexcept {
    constexpr S ln2 = S(0.69314718055994530942);
    const MatrixView<const S> inputs = piece.channels(in.u), delta = piece.channels(in.delta);
    const MatrixView<S> dinputs = piece.channels(d.u), ddelta = piece.channels(d.delta), dgate = piece.channels(d.z);
    SelectiveLanes<S> skip, skip_sum = load_channels(dskip, lanes), bias_sum = load_channels(dbias, lanes);
    if (p.skip != nullptr) skip = piece.load_strip(p.skip, j);
    for (Index i = piece.tokens.size() - 1; i >= 0; --i) {
      const SelectiveLanes<S> u = piece.load_strip(inputs, i, j), s = piece.load_delta(delta, i, j);
      const SelectiveLanes<S> dt = load_channels(piece.room.dt + piece.room.at(i, j), lanes);
      const SelectiveLanes<S> dread = load_channels(room.dread + piece.room.at(i, j), lanes);
      const SelectiveLanes<S> through_B = load_channels(room.through_B + i * lanes, lanes);
      const SelectiveLanes<S> through_decay = load_channels(room.through_decay + i * lanes, lanes);
      SelectiveLanes<S> du, ds;
      for_each_register([&](std::size_t r) {
        du[r] = dt[r] * through_B[r];
        if (p.skip != nullptr) du[r] = fma(skip[r], dread[r], du[r]);
        ds[r] = fma(u[r], through_B[r], Simd<S>(ln2) * through_decay[r]);
        if (p.delta_softplus) ds[r] = ds[r] * sigmoid(s[r]);
        skip_sum[r] = fma(dread[r], u[r], skip_sum[r]);
        bias_sum[r] = bias_sum[r] + ds[r];
      });
      store_channels(dinputs.row(i) + j * lanes, du, piece.count(j));
      store_channels(ddelta.row(i) + j * lanes, ds, piece.count(j));
      if (in.z.data != nullptr) {
        const SelectiveLanes<S> ungated = piece.load_read(inputs, i, j);
        SelectiveLanes<S> dz = piece.load_strip(MatrixView<const S>(dgate), i, j);
        for_each_register([&](std::size_t r) { dz[r] = dz[r] * ungated[r]; });
        store_channels(dgate.row(i) + j * lanes, dz, piece.count(j));
      }
    }
    store_channels(dskip, skip_sum, lanes);
    store_channels(dbias, bias_sum, lanes);
  }

  /// a x + b, a real.
  [[gnu::always_inline]] static Numbers add_scaled(Simd<S> a, const Numbers& x, Numbers b) noexcept {
    for (std::size_t k = 0; k < P; ++k) b[k] = fma(a, x[k], b[k]);
    return b;
  }

  /// A with both planes in units of log2: a half turn is pi / ln 2 of them.
  [[gnu::always_inline]] static Numbers in_log2(Numbers a) noexcept {
    if constexpr (P == 2) a[1] = a[1] * Simd<S>(S(4.53236014182719380963));
    return a;
  }

  /// Adds a x to the sum over the channels of a block, or over the tokens of a channel.
  [[gnu::always_inline]] static void add_constant(const Planes<S*, P>& over_tokens, Index lane, bool constant,
                                                  Simd<S> a, const Numbers& x, Numbers& over_channels) noexcept {
    if (constant) {
      constexpr FullLanes<S> full;
      store_planes(full, over_tokens, lane, add_scaled(a, x, load_planes(full, over_tokens, lane)));
    } else {
      over_channels = add_scaled(a, x, over_channels);
    }
  }

  void write_partial(Index s, TokenRange piece, const Room& room) const noexcept {
    const Index states = p.layout.state_size;
    for (Index i = 0; i < piece.size(); ++i) {
      S* out = partial + (s * grid.time + piece.begin + i) * 2 * planes * states;
      for (Index n = 0; n < states; ++n) {
        const S* sums_of_state = room.weight_sums + (i * states + n) * 2 * planes * simd_width<S>;
        for (Index k = 0; k < 2 * planes; ++k) out[k * states + n] = sum_of(sums_of_state + k * simd_width<S>);
      }
    }
  }
  static S sum_of(const S* values) noexcept { return stepscan::sum(load(values)); }
};

/// dB and dC of every token: the sums over the blocks of a group, in their order.
template <Scalar S, std::size_t P>
void add_partial(const SelectiveLayout& layout, const SelectiveInputs<S>& in, const S* partial,
                 const SelectiveSequences<S>& d) noexcept {
  constexpr Index planes = static_cast<Index>(P);
  const Index states = layout.state_size;
  for (Index b = 0; b < in.u.batch; ++b) {
    for (Index t = 0; t < in.u.length(b); ++t) {
      for (Index group = 0; group < layout.groups; ++group) {
        const auto add = [&](const SequenceView<S>& to, Index plane, Index offset) {
          if (to.data == nullptr) return;
          S* out = to.token(b, t) + (plane * layout.groups + group) * states;
          std::fill_n(out, states, S{0});
          for (Index j = 0; j < layout.blocks_per_group; ++j) {
            const Index s = b * layout.blocks() + group * layout.blocks_per_group + j;
            const S* from = partial + ((s * in.u.time + t) * 2 * planes + offset) * states;
            for (Index n = 0; n < states; ++n) out[n] += from[n];
          }
        };
        for (Index k = 0; k < planes; ++k) {
          add(d.B, k, k);
          add(d.C, k, planes + k);
        }
      }
    }
  }
}

/// Adds the sums of all members to the gradients, in the order of the batch.
template <Scalar S, std::size_t P>
void add_sums(const SelectiveLayout& layout, Index batch, S* sums, const SelectiveGradient<S, P>& gradient) noexcept {
  for (Index s = 0; s < batch * layout.blocks(); ++s) {
    const SelectiveSums<S, P> sum(layout, sums + s * SelectiveSums<S, P>::size(layout));
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
      for (std::size_t k = 0; k < P; ++k) {
        add_matrix(gradient.A[k], sum.A[k]);
        add_matrix(gradient.B[k], sum.B[k]);
        add_matrix(gradient.C[k], sum.C[k]);
      }
      add_vector(gradient.skip, sum.skip);
      add_vector(gradient.delta_bias, sum.delta_bias);
    });
  }
}

}  // namespace detail

/// The backward pass of selective_scan by the same schedule, from the checkpoints that it kept. Planes dh [batch,
/// state_size, features] hold the cotangent of the last states and then that of the first ones; d takes the cotangents
/// of the inputs, whose padding the caller clears. Adds to the gradients. Blocks of channels run on threads.
template <Scalar S, std::size_t P>
void selective_scan_backward(const SelectiveParameters<S, P>& p, const SelectiveInputs<S>& in, const S* checkpoints,
                             SequenceView<const S> dy, const std::type_identity_t<Planes<S*, P>>& dh,
                             const SelectiveSequences<S>& d,
                             const std::type_identity_t<SelectiveGradient<S, P>>& gradient,
                             const ScanSchedule& schedule, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SelectiveLayout& layout = p.layout;
  const ScanGrid grid = detail::selective_grid<S>(layout, in.u.batch, in.u.time, schedule, Direction::backward);
  const Index sum_size = grid.sequences * detail::SelectiveSums<S, P>::size(layout);
  const detail::SelectiveBlocks<S, P> cotangents(layout, grid.sequences, workspace);
  S* sums = workspace.take<S>(sum_size);
  std::fill_n(sums, sum_size, S{0});
  S* partial = workspace.take<S>(grid.sequences * in.u.time * 2 * static_cast<Index>(P) * layout.state_size);
  S* rooms = workspace.take<S>(grid.workers * detail::SelectivePieceRoom<S, P>::size(layout));
  cotangents.pack(dh);
  const detail::SelectiveScanBackward<S, P> op{p,    in,      dy,   d, grid, checkpoints, cotangents.planes,
                                               sums, partial, rooms};
  detail::scan_pieces(op, grid, layout.blocks());
  cotangents.unpack(dh);
  detail::add_partial<S, P>(layout, in, partial, d);
  detail::add_sums<S, P>(layout, in.u.batch, sums, gradient);
}

}  // namespace stepscan::inline STEPSCAN_ISA
