#pragma once

#include <algorithm>
#include <stepscan/ops/decay_attention.hpp>
#include <stepscan/ops/decay_chunk_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Segment after segment from the last: the states that enter its chunks are worked out once more from the checkpoint,
/// then the chunks are pulled back in reverse.
template <class Attention, Scalar S = typename Attention::scalar_type>
struct DecayScanBackward {
  using BackwardTiles = typename ChunkBackward<Attention>::Tiles;
  using ChunkPass = typename ChunkBackward<Attention>::Type;

  Attention op;
  DecayGradients<S> to;
  SequenceView<const S> dy;
  DecayState<S> dstate;
  DecayCheckpoints<S> kept;
  Index chunk = 1;
  S* scratch = nullptr;  ///< per worker
  S* slots = nullptr;    ///< of a carried scan: cotangents of the states behind all segments but the last

  [[nodiscard]] Index length(Index s) const noexcept { return op.k.length(s / op.sizes.heads); }
  /// The cotangent of the state behind the i-th segment from the last.
  [[nodiscard]] DecayState<S> state(Index s, Index i) const noexcept {
    return i == 0 ? op.state_of(dstate, s) : op.state_at(slots + (s * (kept.segments - 1) + i - 1) * op.state_size());
  }
  void finish(Index s, Index i) const noexcept { op.copy_state(state(s, i), state(s, 0)); }

  [[nodiscard]] Index chunks() const noexcept { return chunk_count(kept.segment, chunk); }
  [[nodiscard]] Index scratch_size() const noexcept {
    return worker_stride<S>(chunks() * op.state_size() + op.tile_size(chunk) +
                            BackwardTiles::size(chunk, op.sizes, Attention::Policy::per_channel));
  }

  void emit(const ScanJob& job, const DecayState<S>& ds) const noexcept {
    const Index b = job.sequence / op.sizes.heads, h = job.sequence % op.sizes.heads;
    S* const states = scratch + job.worker * scratch_size();
    auto [tiles, own] = room_of(job);
    const auto state_of = [&](Index i) { return op.state_at(states + i * op.state_size()); };
    const Index last = chunk_count(job.tokens.size(), chunk) - 1;
    const Index at = job.sequence * kept.segments + job.tokens.begin / kept.segment;
    op.copy_state(op.state_at(kept.data + at * op.state_size()), state_of(0));
    for (Index i = 0; i < last; ++i) {
      const TokenRange tokens = tokens_of(job, i);
      op.copy_state(state_of(i), state_of(i + 1));
      op.weigh(b, h, tokens, state_of(i), tiles);
      op.decay_keys(b, h, tokens, tiles);
      op.update(op.written(b, h, tokens, tiles, state_of(i)), tiles, state_of(i + 1));
    }
    for (Index i = last; i >= 0; --i) {
      const TokenRange tokens = tokens_of(job, i);
      op.weigh(b, h, tokens, state_of(i), tiles);
      op.prepare(b, h, tokens, tiles);
      ChunkPass{op, to, tiles, own, b, h, tokens}.run(state_of(i), dy, ds);
    }
  }

  /// What emit does to these columns of the cotangent, and nothing else.
  void carry(const ScanJob& job, ColumnRange columns, const DecayState<S>& from,
             const DecayState<S>& into) const noexcept {
    const Index b = job.sequence / op.sizes.heads, h = job.sequence % op.sizes.heads;
    auto [tiles, own] = room_of(job);
    op.copy_columns(columns, from, into);
    for (Index i = chunk_count(job.tokens.size(), chunk) - 1; i >= 0; --i) {
      const TokenRange tokens = tokens_of(job, i);
      op.weigh(b, h, tokens, {}, tiles);
      ChunkPass{op, to, tiles, own, b, h, tokens}.carry(columns, dy, into);
    }
  }

 private:
  [[nodiscard]] auto room_of(const ScanJob& job) const noexcept {
    S* const memory = scratch + job.worker * scratch_size() + chunks() * op.state_size();
    return std::pair(op.tiles(memory, chunk),
                     BackwardTiles(memory + op.tile_size(chunk), chunk, op.sizes, Attention::Policy::per_channel));
  }
  /// The i-th chunk of a segment.
  [[nodiscard]] TokenRange tokens_of(const ScanJob& job, Index i) const noexcept {
    const Index first = job.tokens.begin + i * chunk;
    return {first, std::min(first + chunk, job.tokens.end)};
  }
};

/// For heads too few for all threads: the cotangents of the states between segments first, bands of columns beside each
/// other; from them all segments at once. The same bits as segment after segment.
template <class Scan>
void scan_carried(const Scan& scan, const ScanGrid& grid, Index bands) {
  for_each_share(grid.sequences * bands, grid.workers, [&](Index job, Index worker) {
    const Index s = job / bands, band = job % bands, values = scan.op.sizes.value_dim;
    const Index length = scan.length(s), segments = chunk_count(length, grid.chunk);
    const ColumnRange columns{values * band / bands, values * (band + 1) / bands};
    for (Index i = 0; i + 1 < segments; ++i) {
      scan.carry({s, i, worker, chunk_tokens(grid, length, i)}, columns, scan.state(s, i), scan.state(s, i + 1));
    }
  });
  for_each_chunk(scan, grid,
                 [&](const ScanJob& job, Index) { scan.emit(job, scan.state(job.sequence, job.position)); });
  for (Index s = 0; s < grid.sequences; ++s) {
    const Index segments = chunk_count(scan.length(s), grid.chunk);
    if (segments > 1) scan.finish(s, segments - 1);
  }
}

}  // namespace detail

/// The backward pass of decay_attention_scan, whose checkpoints these are. dstate holds the cotangents of the last
/// states and then those of the first ones. Writes the cotangents of queries, keys, values and gates of real tokens.
/// Heads run on threads; where they are too few and no denominator mixes columns, columns and then segments do.
template <class Attention, Scalar S = typename Attention::scalar_type>
void decay_attention_backward(const Attention& op, const DecayGradients<S>& to, SequenceView<const S> dy,
                              const DecayState<S>& dstate, const DecayCheckpoints<S>& kept, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index sequences = dy.batch * op.sizes.heads,
              work = sequences * dy.time * op.sizes.key_dim * op.sizes.value_dim * 6;
  ScanGrid grid{sequences, dy.time, kept.segment, worker_count(sequences, work), Direction::backward};
  const Index chunk = std::min(decay_chunk<typename Attention::Policy, S>(op.sizes), kept.segment);
  detail::DecayScanBackward<Attention> scan{op, to, dy, dstate, kept, chunk, nullptr, nullptr};
  if constexpr (!Attention::Reading::normalised) {
    const Index all = worker_count(sequences * kept.segments, work);
    if (sequences < 2 * all && sequences % all != 0) {
      grid.workers = all;
      scan.scratch = workspace.take<S>(all * scan.scratch_size());
      scan.slots = workspace.take<S>(sequences * (kept.segments - 1) * op.state_size());
      detail::scan_carried(scan, grid, std::clamp<Index>(op.sizes.value_dim / simd_width<S>, 1, all));
      return;
    }
  }
  scan.scratch = workspace.take<S>(grid.workers * scan.scratch_size());
  scan_chunked(scan, grid);
}

}  // namespace stepscan::inline STEPSCAN_ISA
