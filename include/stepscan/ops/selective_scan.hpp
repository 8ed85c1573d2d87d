#pragma once

#include <stepscan/ops/selective_piece.hpp>
#include <stepscan/scan/affine.hpp>
#include <stepscan/scan/affine_slots.hpp>

/// The selective scan of Mamba (arXiv 2312.00752, algorithm 2 and section 3.3), a diagonal state-space system whose
/// step size, input and output weights depend on the token. With s_t = delta_t + delta_bias and dt_t = softplus(s_t),
/// or s_t itself,
///   h_t[n, d] = exp(dt_t[d] A[d, n]) h_(t-1)[n, d] + dt_t[d] u_t[d] B_t[g, n]
///   y_t[d]    = (sum_n C_t[g, n] h_t[n, d] + D[d] u_t[d]) silu(z_t[d])
/// where channel d belongs to group g = d / (features / groups). A, B, C and h may be complex (P = 2), half of
/// conjugate pairs: then C h counts as 2 Re(C h). A run of tokens is the map h -> exp(A sum dt) h + v: no decay is ever
/// divided by. Softplus, exponential, update, read, skip and gate are one pass over the tokens.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The pieces of a sequence, counted chunk by chunk; the one that begins with a token; its tokens.
[[nodiscard]] constexpr Index pieces_per_chunk(const ScanGrid& grid) noexcept {
  return chunk_count(grid.chunk, selective_piece);
}
[[nodiscard]] constexpr Index selective_pieces(const ScanGrid& grid) noexcept {
  return chunk_count(grid.time, grid.chunk) * pieces_per_chunk(grid);
}
[[nodiscard]] constexpr Index selective_piece_of(const ScanGrid& grid, Index token) noexcept {
  return token / grid.chunk * pieces_per_chunk(grid) + token % grid.chunk / selective_piece;
}
[[nodiscard]] constexpr TokenRange selective_piece_tokens(const ScanGrid& grid, Index length, Index piece) noexcept {
  const Index chunk = piece / pieces_per_chunk(grid) * grid.chunk;
  const Index begin = chunk + piece % pieces_per_chunk(grid) * selective_piece;
  return {begin, std::min({begin + selective_piece, chunk + grid.chunk, length})};
}

/// Room for a piece of a block, of every worker.
template <Scalar S, std::size_t P>
[[nodiscard]] Index piece_room_size(const SelectiveLayout& layout) noexcept {
  return worker_stride<S>(SelectiveRoom<S, P>::size(layout, layout.strips_per_block, selective_piece));
}
template <Scalar S, std::size_t P>
[[nodiscard]] SelectiveRoom<S, P> piece_room(const SelectiveLayout& layout, S* rooms, Index worker) noexcept {
  return {layout, layout.strips_per_block, selective_piece, rooms + worker * piece_room_size<S, P>(layout)};
}

/// A sequence of the executors is one block of channels of one batch member; its states lie as strips. Emit also keeps,
/// where there is room, the states that enter every piece.
template <class Math, Scalar S, std::size_t P>
struct SelectiveScanOperation : InAffineSlots<DiagonalAffine<S, P>, S, P> {
  static constexpr bool keeps_local = false;
  using Piece = SelectivePiece<Math, S, P>;
  using Monoid = DiagonalAffine<S, P>;

  SelectiveParameters<S, P> p;
  SelectiveInputs<S> in;
  SequenceView<S> y;
  ScanGrid grid;
  S* rooms = nullptr;        ///< a SelectiveRoom for every worker
  S* checkpoints = nullptr;  ///< [sequences, pieces, P, block_size]

  [[nodiscard]] Index member(Index s) const noexcept { return s / p.layout.blocks(); }
  [[nodiscard]] Index length(Index s) const noexcept { return in.u.length(member(s)); }
  [[nodiscard]] Monoid monoid() const noexcept { return {p.layout.block_size()}; }

  void summarise(const ScanJob& job, const typename Monoid::Element& element) const noexcept {
    monoid().identity(element);
    RowsAhead<S> ahead;
    for_each_piece(job, [&](const TokenRange& tokens) {
      const Piece piece = piece_of(job, tokens, ahead);
      move(piece, element.b);
      for (Index j = 0; j < piece.strip_count(); ++j) add_decay(piece, j, element.a);
    });
  }

  void emit(const ScanJob& job, const Planes<S*, P>& state) const noexcept {
    for_each_piece(job, [&](const TokenRange& tokens) {
      const TokenRange behind{tokens.end, std::min(tokens.end + selective_piece, job.tokens.end)};
      pass({job.sequence, job.position, job.worker, tokens}, state, rows_ahead(job.sequence, behind));
    });
  }

  /// The tokens of a piece, while the rows of what comes next are asked for.
  void pass(const ScanJob& job, const Planes<S*, P>& state, RowsAhead<S> ahead) const noexcept {
    const Index size = p.layout.block_size();
    ahead.spread(p.layout.strips_per_block * job.tokens.size());
    if (checkpoints != nullptr) {
      const Index number = job.sequence * selective_pieces(grid) + selective_piece_of(grid, job.tokens.begin);
      const Planes<S*, P> kept = planes_at<P>(checkpoints + number * static_cast<Index>(P) * size, size);
      for (std::size_t k = 0; k < P; ++k) std::copy_n(state[k], size, kept[k]);
    }
    const Piece piece = piece_of(job, job.tokens, ahead);
    move(piece, state);
    piece.write_outputs(y);
  }

  /// The rows that a sequence reads and writes for these tokens.
  [[nodiscard]] RowsAhead<S> rows_ahead(Index s, TokenRange tokens) const noexcept {
    return selective_rows<S>(p.layout, s % p.layout.blocks(), member(s), tokens, {in.u, in.delta, in.z, y}, in);
  }

 private:
  template <class F>
  static void for_each_piece(const ScanJob& job, F&& f) noexcept {
    for (TokenRange tokens{job.tokens.begin, 0}; tokens.begin < job.tokens.end; tokens.begin = tokens.end) {
      tokens.end = std::min(tokens.begin + selective_piece, job.tokens.end);
      f(tokens);
    }
  }

  [[nodiscard]] Piece piece_of(const ScanJob& job, const TokenRange& tokens, RowsAhead<S>& ahead) const noexcept {
    const Index block = job.sequence % p.layout.blocks(), strips = p.layout.strips_per_block;
    const SelectiveRoom<S, P> room = piece_room<S, P>(p.layout, rooms, job.worker);
    return {p, in, p.layout.channels(block), block * strips, member(job.sequence), tokens, room, ahead};
  }

  void move(const Piece& piece, const Planes<S*, P>& h) const noexcept {
    const bool in_range = piece.load_tokens();
    for (Index j = 0; j < piece.strip_count(); ++j) {
      const Planes<S*, P> states = advance(h, j * p.layout.strip_size());
      if (in.B.data != nullptr && in.C.data != nullptr) {
        piece.template move_states<true>(in_range, j, states);
      } else {
        piece.template move_states<false>(in_range, j, states);
      }
    }
  }

  /// product *= exp(A sum dt), of strip j
  void add_decay(const Piece& piece, Index j, Planes<S*, P> product) const noexcept {
    constexpr Index lanes = selective_lanes<S>;
    constexpr FullLanes<S> full;
    const Planes<const S*, P> a = piece.A(j);
    product = advance(product, j * p.layout.strip_size());
    for_each_register([&](std::size_t r) {
      const Index lane = static_cast<Index>(r) * simd_width<S>;
      Simd<S> sum(S{0});
      for (Index i = 0; i < piece.tokens.size(); ++i) sum = sum + load(piece.room.dt + piece.room.at(i, j) + lane);
      for (Index n = 0; n < p.layout.state_size; ++n) {
        const Index at = n * lanes + lane;
        const Planes<Simd<S>, P> decay = selective_decay<false, S>(sum, load_planes(full, a, at));
        store_planes(full, product, at, multiply(load_planes(full, product, at), decay));
      }
    });
  }
};

/// Pieces of tokens in turn, each through all blocks of a member that a worker has, so that the tokens' rows are read
/// from memory once; while a block passes, those of the next one are asked for. Same bits as block after block.
template <class Op>
void scan_pieces(const Op& op, const ScanGrid& grid, Index blocks) {
  parallel_for(grid.workers, [&](Index worker) {
    const Index end = grid.sequences * (worker + 1) / grid.workers;
    for (Index first = grid.sequences * worker / grid.workers, next = 0; first < end; first = next) {
      next = std::min((first / blocks + 1) * blocks, end);
      const Index length = op.length(first), pieces = selective_pieces(grid);
      const auto tokens_of = [&](Index i) {
        const Index piece = grid.direction == Direction::forward ? i : pieces - 1 - i;
        return i < pieces ? selective_piece_tokens(grid, length, piece) : TokenRange{};
      };
      for (Index i = 0; i < pieces; ++i) {
        const TokenRange tokens = tokens_of(i), behind = tokens_of(i + 1);
        for (Index s = first; tokens.size() > 0 && s < next; ++s) {
          op.pass(ScanJob{s, i, worker, tokens}, op.state(s, 0),
                  s + 1 < next ? op.rows_ahead(s + 1, tokens) : op.rows_ahead(first, behind));
        }
      }
    }
  });
}

/// The states of all sequences as they are scanned, or their cotangents.
template <Scalar S, std::size_t P>
struct SelectiveBlocks {
  const SelectiveLayout& layout;
  Planes<MatrixView<S>, P> planes;  ///< [sequences, block_size]

  SelectiveBlocks(const SelectiveLayout& how, Index sequences, Workspace& workspace) : layout(how) {
    for (MatrixView<S>& plane : planes) plane = workspace.matrix<S, Dynamic>(sequences, layout.block_size());
  }

  /// From planes [batch, state_size, features], and back.
  void pack(const Planes<S*, P>& h) const noexcept {
    for_each([&](std::size_t k, Index s, Index member) {
      pack_states<S>(layout, s % layout.blocks(), h[k] + member, planes[k].row(s));
    });
  }
  void unpack(const Planes<S*, P>& h) const noexcept {
    for_each([&](std::size_t k, Index s, Index member) {
      unpack_states<S>(layout, s % layout.blocks(), planes[k].row(s), h[k] + member);
    });
  }

 private:
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t k = 0; k < P; ++k) {
      for (Index s = 0; s < planes[k].rows; ++s) f(k, s, s / layout.blocks() * layout.state_size * layout.features);
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
template <Scalar S, std::size_t P = 1>
[[nodiscard]] Index selective_checkpoint_size(const SelectiveLayout& layout, Index batch, Index time,
                                              const ScanSchedule& schedule) noexcept {
  const ScanGrid grid = detail::selective_grid<S>(layout, batch, time, schedule, Direction::forward);
  return grid.sequences * detail::selective_pieces(grid) * static_cast<Index>(P) * layout.block_size();
}

/// Whole sequences, y [batch, time, features], from the states, planes h [batch, state_size, features], and into them.
/// Blocks of channels are spread over threads, in a parallel schedule chunks of tokens as well. `checkpoints` is null
/// or has room for selective_checkpoint_size numbers.
template <class Math, Scalar S, std::size_t P>
void selective_scan(const SelectiveParameters<S, P>& p, const SelectiveInputs<S>& in,
                    const std::type_identity_t<Planes<S*, P>>& h, SequenceView<S> y, const ScanSchedule& schedule,
                    Workspace& workspace, S* checkpoints = nullptr) {
  const Workspace::Scope scope(workspace);
  const SelectiveLayout& layout = p.layout;
  const ScanGrid grid = detail::selective_grid<S>(layout, in.u.batch, in.u.time, schedule, Direction::forward);
  const Index size = layout.block_size(), chunks = chunk_slots(grid, schedule);
  const detail::SelectiveBlocks<S, P> states(layout, grid.sequences, workspace);
  const AffineSlots<S, P> slots(workspace, grid.sequences, chunks, size, size, states.planes);
  S* rooms = workspace.take<S>(grid.workers * detail::piece_room_size<S, P>(layout));
  states.pack(h);
  const detail::SelectiveScanOperation<Math, S, P> op{{slots}, p, in, y, grid, rooms, checkpoints};
  if (schedule.parallel) {
    scan_parallel(op, grid);
  } else {
    detail::scan_pieces(op, grid, layout.blocks());
  }
  states.unpack(h);
  clear_padding(in.u, y);
}

namespace detail {

/// The strips whose token passes a step takes at once.
[[nodiscard]] constexpr Index selective_step_strips(const SelectiveLayout& layout) noexcept {
  return std::min<Index>(layout.blocks_per_group * layout.strips_per_block, 32);
}

/// Strip j of one token; its states [state_size, features] are copied to `local` where they are no whole strip.
template <bool Broadcast, class Math, Scalar S, std::size_t P>
void step_strip(const SelectivePiece<Math, S, P>& piece, bool in_range, Index j, const Planes<S*, P>& states,
                const Planes<S*, P>& local) noexcept {
  const SelectiveLayout& layout = piece.p.layout;
  if constexpr (Broadcast) {
    if (piece.count(j) == layout.lanes) return piece.template move_states<true, false, true>(in_range, j, states);
  }
  const auto copy = [&](const Planes<S*, P>& from, Index from_row, Index read, const Planes<S*, P>& to, Index to_row,
                        Index written) {
    for (std::size_t k = 0; k < P; ++k) {
      for (Index n = 0; n < layout.state_size; ++n) {
        store_channels(to[k] + n * to_row, load_channels(from[k] + n * from_row, read), written);
      }
    }
  };
  copy(states, layout.features, piece.count(j), local, layout.lanes, layout.lanes);
  piece.template move_states<Broadcast>(in_range, j, local);
  copy(local, layout.lanes, layout.lanes, states, layout.features, piece.count(j));
}

}  // namespace detail

/// Numbers of scratch of one step.
template <Scalar S, std::size_t P = 1>
[[nodiscard]] constexpr Index selective_step_room(const SelectiveLayout& layout) noexcept {
  using Room = detail::SelectiveRoom<S, P>;
  return Room::size(layout, detail::selective_step_strips(layout), 1) + Room::strip_size(layout);
}

/// One token of every batch member: sequences of time 1.
template <class Math, Scalar S, std::size_t P>
void selective_scan_step(const SelectiveParameters<S, P>& p, const SelectiveInputs<S>& in,
                         const std::type_identity_t<Planes<S*, P>>& h, SequenceView<S> y, S* memory) noexcept {
  using Room = detail::SelectiveRoom<S, P>;
  const SelectiveLayout& layout = p.layout;
  const Index strips = detail::selective_step_strips(layout);
  const Room room(layout, strips, 1, memory);
  const Planes<S*, P> local = planes_at<P>(memory + Room::size(layout, strips, 1), layout.strip_size());
  RowsAhead<S> ahead;
  for (Index b = 0; b < in.u.batch; ++b) {
    layout.for_each_run(p.A.packed != nullptr ? strips : 1, [&](const SelectiveStrip& run, Index number) {
      const detail::SelectivePiece<Math, S, P> piece{p, in, run, number, b, {0, 1}, room, ahead};
      const bool in_range = piece.load_tokens();
      for (Index j = 0; j < piece.strip_count(); ++j) {
        const Planes<S*, P> states = advance(h, b * layout.state_size * layout.features + piece.strip(j).first);
        if (in.B.data != nullptr && in.C.data != nullptr) {
          detail::step_strip<true>(piece, in_range, j, states, local);
        } else {
          detail::step_strip<false>(piece, in_range, j, states, local);
        }
      }
      piece.write_outputs(y);
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
