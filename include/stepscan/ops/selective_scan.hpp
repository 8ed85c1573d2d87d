#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/selective_layout.hpp>
#include <stepscan/scan/affine.hpp>
#include <stepscan/scan/affine_slots.hpp>
#include <stepscan/scan/executors.hpp>

/// The selective scan of Mamba (arXiv 2312.00752, algorithm 2 and section 3.3), a diagonal state-space system whose
/// step size, input and output weights depend on the token. With s_t = delta_t + delta_bias and dt_t = softplus(s_t) or
/// s_t,
///   h_t[n, d] = exp(dt_t[d] A[d, n]) h_(t-1)[n, d] + dt_t[d] u_t[d] B_t[g, n]
///   y_t[d]    = (sum_n C_t[g, n] h_t[n, d] + D[d] u_t[d]) silu(z_t[d])
/// where channel d belongs to group g = d / (features / groups). A run of tokens is the map h -> exp(A sum dt) h + v:
/// no decay is ever divided by. Softplus, exponential, update, read, skip and gate are one pass over the tokens.
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
/// z [batch, time, features], or of null data: no gate. Lengths are those of u.
/// The cotangents of all these, of null data where they are.
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

/// What one token brings to a strip.
template <Scalar S>
struct SelectiveToken {
  SelectiveLanes<S> u, dt, dtu;
};

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

template <class Math, Scalar S>
[[gnu::always_inline]] inline SelectiveToken<S> load_token(const SelectiveParameters<S>& p, const SelectiveStrip& strip,
                                                           const S* u, const S* delta) noexcept {
  SelectiveToken<S> token;
  token.u = load_channels(u + strip.first, strip.count);
  token.dt = shifted_delta(p, strip, delta);
  if (p.delta_softplus) for_each_register([&](std::size_t r) { token.dt[r] = softplus<Math>(token.dt[r]); });
  for_each_register([&](std::size_t r) { token.dtu[r] = token.dt[r] * token.u[r]; });
  return token;
}

/// Where the states of a strip stand before and after a token, rows `stride` apart.
template <Scalar S>
struct SelectiveMove {
  const S* from;
  S* to;
  Index stride;
  S* decays = nullptr;  ///< [state_size, lanes], room for the exponentials
};

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

template <bool InRange, bool Keep, Scalar S, bool Broadcast>
[[gnu::always_inline]] inline SelectiveLanes<S> move_states_within(const S* a, Index state_size,
                                                                   const SelectiveToken<S>& token,
                                                                   const SelectiveWeights<S, Broadcast>& weights,
                                                                   const SelectiveMove<S>& move) noexcept {
  constexpr Index lanes = selective_lanes<S>;
  SelectiveLanes<S> y;
  for_each_register([&](std::size_t r) { y[r] = Simd<S>(S{0}); });
  for (Index n = 0; n < state_size; ++n) {
    for_each_register([&](std::size_t r) {
      const Index lane = static_cast<Index>(r) * simd_width<S>;
      const Simd<S> rate = load(a + n * lanes + lane);
      const Simd<S> decay = InRange ? exp2_product_in_range(token.dt[r], rate) : exp2_product(token.dt[r], rate);
      const Simd<S> input = token.dtu[r] * weights.at(weights.B, n, r);
      const Simd<S> h = fma(decay, load(move.from + n * move.stride + lane), input);
      store(move.to + n * move.stride + lane, h);
      if constexpr (Keep) store(move.decays + n * lanes + lane, decay);
      y[r] = fma(weights.at(weights.C, n, r), h, y[r]);
    });
  }
  return y;
}

/// One token of one strip: h = exp(dt A) h + dt u B. Gives C h. `a` is a strip of A.
template <bool Keep = false, Scalar S, bool Broadcast>
[[gnu::always_inline]] inline SelectiveLanes<S> move_states(const S* a, Index state_size,
                                                            const SelectiveToken<S>& token,
                                                            const SelectiveWeights<S, Broadcast>& weights,
                                                            const SelectiveMove<S>& move) noexcept {
  bool in_range = true;
  for_each_register([&](std::size_t r) {
    const Simd<S> largest = load(a + state_size * selective_lanes<S> + static_cast<Index>(r) * simd_width<S>);
    in_range = in_range && all(abs(token.dt[r]) * largest <= Simd<S>(exp2_limit<S>));
  });
  if (in_range) [[likely]]
    return move_states_within<true, Keep>(a, state_size, token, weights, move);
  return move_states_within<false, Keep>(a, state_size, token, weights, move);
}

/// The strips of A, B and C, and room for those that are not there: three times [state_size + 1, lanes].
template <Scalar S>
struct SelectiveStripData {
  const SelectiveParameters<S>& p;
  SelectiveStrip strip;
  Index number;
  S* room;

  [[nodiscard]] const S* A() const noexcept { return p.A.strip(strip, number, p.layout.lanes, room); }

  /// Calls f(weights of token(b_row, c_row)) where the rows are those of a token, or null.
  template <bool Broadcast>
  [[nodiscard, gnu::always_inline]] SelectiveWeights<S, Broadcast> weights(const S* b_row,
                                                                           const S* c_row) const noexcept {
    const Index first = strip.group * p.layout.state_size;
    if constexpr (Broadcast) {
      return {b_row + first, c_row + first};
    } else {
      const Index size = p.layout.strip_size() + p.layout.lanes;
      const auto rows = [&](const SelectiveMatrix<S>& constant, const S* row, S* own) -> const S* {
        if (row == nullptr) return constant.strip(strip, number, p.layout.lanes, own);
        for (Index n = 0; n < p.layout.state_size; ++n)
          std::fill_n(own + n * p.layout.lanes, p.layout.lanes, row[first + n]);
        return own;
      };
      return {rows(p.B, b_row, room + size), rows(p.C, c_row, room + 2 * size)};
    }
  }
};

template <Scalar S>
[[nodiscard]] constexpr Index selective_room(const SelectiveLayout& layout) noexcept {
  return 3 * (layout.strip_size() + layout.lanes);
}

/// What is read from the states to y: skip and gate.
template <class Math, Scalar S>
[[gnu::always_inline]] inline void write_output(const SelectiveParameters<S>& p, const SelectiveStrip& strip,
                                                SelectiveLanes<S> y, const SelectiveLanes<S>& u, const S* z,
                                                S* out) noexcept {
  if (p.skip != nullptr) {
    const SelectiveLanes<S> skip = load_channels(p.skip + strip.first, strip.count);
    for_each_register([&](std::size_t r) { y[r] = fma(skip[r], u[r], y[r]); });
  }
  if (z != nullptr) {
    const SelectiveLanes<S> gate = load_channels(z + strip.first, strip.count);
    for_each_register([&](std::size_t r) { y[r] = y[r] * silu<Math>(gate[r]); });
  }
  store_channels(out + strip.first, y, strip.count);
}

/// The row of a token, or null where there is no such input.
template <Scalar S>
[[nodiscard]] inline const S* token_or_null(const SequenceView<const S>& x, Index b, Index t) noexcept {
  return x.data == nullptr ? nullptr : x.token(b, t);
}

/// A sequence of the executors is one block of channels of one batch member; its states lie as strips. Emit also keeps,
/// where there is room, the states that enter every piece.
template <class Math, Scalar S>
struct SelectiveScanOperation {
  static constexpr bool keeps_local = false;

  SelectiveParameters<S> p;
  SelectiveInputs<S> in;
  SequenceView<S> y;
  ScanGrid grid;
  AffineSlots<S, 1> slots;
  S* rooms = nullptr;        ///< selective_room of every worker
  S* checkpoints = nullptr;  ///< [sequences, pieces, block_size]

  [[nodiscard]] Index member(Index s) const noexcept { return s / p.layout.blocks(); }
  [[nodiscard]] Index length(Index s) const noexcept { return in.u.length(member(s)); }
  [[nodiscard]] DiagonalAffine<S> monoid() const noexcept { return {p.layout.block_size()}; }
  [[nodiscard]] auto element(Index s, Index i) const noexcept {
    return slots.template element<typename DiagonalAffine<S>::Element>(s, i);
  }
  [[nodiscard]] Planes<S*, 1> state(Index s, Index i) const noexcept { return slots.state(s, i); }
  void finish(Index s, Index i) const noexcept { slots.finish(s, i); }

  void summarise(const ScanJob& job, const typename DiagonalAffine<S>::Element& element) const noexcept {
    monoid().identity(element);
    each_strip(job, [&](const SelectiveStripData<S>& data, Index at, auto broadcast) {
      run<true, broadcast>(data, job, job.tokens, element.b[0] + at, element.a[0] + at);
    });
  }

  void emit(const ScanJob& job, const Planes<S*, 1>& state) const noexcept {
    for (TokenRange piece{job.tokens.begin, 0}; piece.begin < job.tokens.end; piece.begin = piece.end) {
      piece.end = std::min(piece.begin + selective_piece, job.tokens.end);
      if (checkpoints != nullptr) {
        std::copy_n(state[0], p.layout.block_size(),
                    checkpoints + (job.sequence * selective_pieces(grid) + selective_piece_of(grid, piece.begin)) *
                                      p.layout.block_size());
      }
      each_strip(job, [&](const SelectiveStripData<S>& data, Index at, auto broadcast) {
        run<false, broadcast>(data, job, piece, state[0] + at, nullptr);
      });
    }
  }

  /// Pieces of a sequence, counted chunk by chunk.
  static constexpr Index pieces_per_chunk(const ScanGrid& grid) noexcept {
    return chunk_count(grid.chunk, selective_piece);
  }
  static constexpr Index selective_pieces(const ScanGrid& grid) noexcept {
    return chunk_count(grid.time, grid.chunk) * pieces_per_chunk(grid);
  }
  static constexpr Index selective_piece_of(const ScanGrid& grid, Index token) noexcept {
    return token / grid.chunk * pieces_per_chunk(grid) + token % grid.chunk / selective_piece;
  }

 private:
  template <class F>
  void each_strip(const ScanJob& job, F&& f) const noexcept {
    const bool broadcast = in.B.data != nullptr && in.C.data != nullptr;
    S* room = rooms + job.worker * selective_room<S>(p.layout);
    const Index block = job.sequence % p.layout.blocks();
    p.layout.for_each_strip(block, [&](const SelectiveStrip& strip, Index number) {
      const SelectiveStripData<S> data{p, strip, number, room};
      const Index at = number % p.layout.strips_per_block * p.layout.strip_size();
      if (broadcast) {
        f(data, at, std::true_type{});
      } else {
        f(data, at, std::false_type{});
      }
    });
  }

  /// The tokens of one strip. To summarise: no outputs, and the exponential of A sum dt.
  template <bool Summarise, bool Broadcast>
  void run(const SelectiveStripData<S>& data, const ScanJob& job, TokenRange tokens, S* h, S* product) const noexcept {
    const Index b = member(job.sequence), state_size = p.layout.state_size, lanes = p.layout.lanes;
    const S* a = data.A();
    SelectiveLanes<S> sum;
    for_each_register([&](std::size_t r) { sum[r] = Simd<S>(S{0}); });
    for (Index t = tokens.begin; t < tokens.end; ++t) {
      const auto token = load_token<Math>(p, data.strip, in.u.token(b, t), in.delta.token(b, t));
      const auto weights = data.template weights<Broadcast>(token_or_null(in.B, b, t), token_or_null(in.C, b, t));
      const SelectiveLanes<S> read = move_states(a, state_size, token, weights, {h, h, lanes});
      if constexpr (Summarise) {
        for_each_register([&](std::size_t r) { sum[r] = sum[r] + token.dt[r]; });
      } else {
        write_output<Math>(p, data.strip, read, token.u, token_or_null(in.z, b, t), y.token(b, t));
      }
    }
    if constexpr (Summarise) {
      for (Index n = 0; n < state_size; ++n) {
        for_each_register([&](std::size_t r) {
          const Index at = n * lanes + static_cast<Index>(r) * simd_width<S>;
          store(product + at, exp2_product(sum[r], load(a + at)));
        });
      }
    }
  }
};

/// A parallel scan's chunks: many tokens, for a chunk's summary costs as much as its outputs and is written once.
template <Scalar S>
ScanGrid selective_grid(const SelectiveLayout& layout, Index batch, Index time, const ScanSchedule& schedule,
                        Direction direction) noexcept {
  constexpr Index parallel_chunk = 256;
  const Index chosen = schedule.parallel ? parallel_chunk : std::max<Index>(time, 1);
  const Index chunk = std::clamp<Index>(schedule.chunk > 0 ? schedule.chunk : chosen, 1, std::max<Index>(time, 1));
  const Index sequences = batch * layout.blocks();
  const Index jobs = schedule.parallel ? sequences * chunk_count(time, chunk) : sequences;
  constexpr Index exponential = 8;
  return {sequences, time, chunk, worker_count(jobs, exponential * batch * time * layout.features * layout.state_size),
          direction};
}

}  // namespace detail

/// Numbers that a selective scan keeps for its backward pass: states at the starts of pieces of the sequence.
template <Scalar S>
[[nodiscard]] Index selective_checkpoint_size(const SelectiveLayout& layout, Index batch, Index time,
                                              const ScanSchedule& schedule) noexcept {
  const ScanGrid grid = detail::selective_grid<S>(layout, batch, time, schedule, Direction::forward);
  return grid.sequences * detail::SelectiveScanOperation<Exact, S>::selective_pieces(grid) * layout.block_size();
}

/// Whole sequences, y [batch, time, features], from the states h [batch, state_size, features] and into them. Blocks of
/// channels are spread over threads, in a parallel schedule chunks of tokens as well. `checkpoints` is null or has room
/// for selective_checkpoint_size numbers.
template <class Math, Scalar S>
void selective_scan(const SelectiveParameters<S>& p, const SelectiveInputs<S>& in, S* h, SequenceView<S> y,
                    const ScanSchedule& schedule, Workspace& workspace, S* checkpoints = nullptr) {
  const Workspace::Scope scope(workspace);
  const SelectiveLayout& layout = p.layout;
  const ScanGrid grid = detail::selective_grid<S>(layout, in.u.batch, in.u.time, schedule, Direction::forward);
  const Index size = layout.block_size(), chunks = schedule.parallel ? chunk_count(grid.time, grid.chunk) : 1;
  const MatrixView<S> states = workspace.matrix<S, Dynamic>(grid.sequences, size);
  const AffineSlots<S, 1> slots(workspace, grid.sequences, chunks, size, size, {states});
  S* rooms = workspace.take<S>(grid.workers * detail::selective_room<S>(layout));
  const auto member = [&](Index s) { return h + s / layout.blocks() * layout.state_size * layout.features; };
  for (Index s = 0; s < grid.sequences; ++s) pack_states<S>(layout, s % layout.blocks(), member(s), states.row(s));
  run_scan(detail::SelectiveScanOperation<Math, S>{p, in, y, grid, slots, rooms, checkpoints}, grid, schedule);
  for (Index s = 0; s < grid.sequences; ++s) unpack_states<S>(layout, s % layout.blocks(), states.row(s), member(s));
  clear_padding(in.u, y);
}

/// Numbers of scratch of one step.
template <Scalar S>
[[nodiscard]] constexpr Index selective_step_room(const SelectiveLayout& layout) noexcept {
  return detail::selective_room<S>(layout) + layout.strip_size();
}

/// One token of every batch member: sequences of time 1.
template <class Math, Scalar S>
void selective_scan_step(const SelectiveParameters<S>& p, const SelectiveInputs<S>& in, S* h, SequenceView<S> y,
                         S* room) noexcept {
  const SelectiveLayout& layout = p.layout;
  S* local = room + detail::selective_room<S>(layout);
  const bool broadcast = in.B.data != nullptr && in.C.data != nullptr;
  for (Index b = 0; b < in.u.batch; ++b) {
    layout.for_each_strip([&](const SelectiveStrip& strip, Index number) {
      const detail::SelectiveStripData<S> data{p, strip, number, room};
      S* states = h + b * layout.state_size * layout.features + strip.first;
      const bool whole = strip.count == layout.lanes;
      const detail::SelectiveMove<S> move{whole ? states : local, whole ? states : local,
                                          whole ? layout.features : layout.lanes};
      for (Index n = 0; !whole && n < layout.state_size; ++n) {
        std::fill_n(local + n * layout.lanes, layout.lanes, S{0});
        std::copy_n(states + n * layout.features, strip.count, local + n * layout.lanes);
      }
      const auto token = detail::load_token<Math>(p, strip, in.u.token(b, 0), in.delta.token(b, 0));
      const S* b_row = detail::token_or_null(in.B, b, 0);
      const S* c_row = detail::token_or_null(in.C, b, 0);
      const auto run = [&](auto is_broadcast) {
        return detail::move_states(data.A(), layout.state_size, token,
                                   data.template weights<is_broadcast>(b_row, c_row), move);
      };
      const SelectiveLanes<S> read = broadcast ? run(std::true_type{}) : run(std::false_type{});
      detail::write_output<Math>(p, strip, read, token.u, detail::token_or_null(in.z, b, 0), y.token(b, 0));
      for (Index n = 0; !whole && n < layout.state_size; ++n) {
        std::copy_n(local + n * layout.lanes, strip.count, states + n * layout.features);
      }
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
