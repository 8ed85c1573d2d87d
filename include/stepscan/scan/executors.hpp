#pragma once

#include <algorithm>
#include <concepts>
#include <stepscan/core/threads.hpp>
#include <stepscan/scan/monoid.hpp>

/// The schedules of a scan, over what an operation does with a run of tokens. Nothing here knows what is scanned, owns
/// memory or copies an element.
///
/// A sequence is cut into chunks of a fixed number of tokens, counted from its first token. Where the cuts lie follows
/// from sizes alone, and a chunk's work from the chunk alone: results have the same bits for any number of threads and
/// whatever other sequences there are.
namespace stepscan::inline STEPSCAN_ISA {

/// Tokens [begin, end).
struct TokenRange {
  Index begin = 0;
  Index end = 0;

  [[nodiscard]] constexpr Index size() const noexcept { return end - begin; }
};

/// One chunk of one sequence.
struct ScanJob {
  Index sequence = 0;
  Index position = 0;  ///< which of the sequence's chunks, in the order of visiting
  Index worker = 0;    ///< jobs of one worker never run at the same time: they may share scratch
  TokenRange tokens;
};

/// How a sequence is cut and run: chunk after chunk, or summarise, combine, emit with the chunks spread over threads.
struct ScanSchedule {
  Index chunk = 0;  ///< tokens; 0: the operation chooses
  bool parallel = false;
};

/// What there is to scan.
struct ScanGrid {
  Index sequences = 0;
  Index time = 0;  ///< tokens of the longest sequence
  Index chunk = 1;
  Index workers = 1;
  Direction direction = Direction::forward;
};

/// The chunks of a sequence of `length` tokens.
[[nodiscard]] constexpr Index chunk_count(Index length, Index chunk) noexcept { return (length + chunk - 1) / chunk; }

/// Chunks of a sequence that have an element and a state of their own: all in a parallel schedule.
[[nodiscard]] constexpr Index chunk_slots(const ScanGrid& grid, const ScanSchedule& schedule) noexcept {
  return schedule.parallel ? chunk_count(grid.time, grid.chunk) : 1;
}

/// Multiply-adds, or numbers read from memory, below which a scan is not worth a second thread.
inline constexpr Index shared_scan_size = 1 << 17;

/// How many workers can be busy with this many jobs that are `work` multiply-adds together.
[[nodiscard]] inline Index worker_count(Index jobs, Index work = shared_scan_size) noexcept {
  return work < shared_scan_size ? 1 : std::clamp<Index>(max_threads(), 1, std::max<Index>(jobs, 1));
}

/// An operation on sequences that the executors can run. `job.tokens` is never empty.
///
///   op.length(s)                     tokens of sequence s
///   op.state(s, i)                   where the state stands that enters the i-th chunk visited; state(s, 0) is where
///                                    the sequence starts and, in the end, where its last state is
///   op.emit(job, state)              the outputs of the tokens; `state` moves from before to behind them
template <class Op>
concept ScanOperation = requires(const Op& op, Index s, const ScanJob& job) {
  { op.length(s) } -> std::convertible_to<Index>;
  op.emit(job, op.state(s, s));
};

/// An operation whose chunks can be summarised before their incoming state is known.
///
///   op.monoid()                      the Action of its elements on its states
///   op.element(s, i)                 where the element of the i-th chunk visited stands
///   op.summarise(job, element)       element = what the tokens do to a state
///   op.finish(s, i)                  the last state stands in state(s, i), i > 0: bring it to state(s, 0)
///   Op::keeps_local                  summarise also does work on the chunk that its emit builds on, so it runs on
///                                    every chunk; otherwise the last chunk is not summarised
template <class Op>
concept ParallelScanOperation = ScanOperation<Op> && requires(const Op& op, Index s, const ScanJob& job) {
  op.summarise(job, op.element(s, s));
  op.monoid().act(op.element(s, s), op.state(s, s), op.state(s, s));
  op.finish(s, s);
  { Op::keeps_local } -> std::convertible_to<bool>;
};

namespace detail {

/// The tokens of the i-th chunk visited.
constexpr TokenRange chunk_tokens(const ScanGrid& grid, Index length, Index position) noexcept {
  const Index last = chunk_count(length, grid.chunk) - 1;
  const Index begin = (grid.direction == Direction::forward ? position : last - position) * grid.chunk;
  return {begin, std::min(begin + grid.chunk, length)};
}

/// Calls f(job number, worker) for [0, jobs), a contiguous share for each worker.
template <class F>
void for_each_share(Index jobs, Index workers, F&& f) {
  parallel_for(workers, [&](Index worker) {
    const Index end = jobs * (worker + 1) / workers;
    for (Index j = jobs * worker / workers; j < end; ++j) f(j, worker);
  });
}

/// Calls f(job, chunks of the job's sequence) for every chunk of every sequence.
template <class Op, class F>
void for_each_chunk(const Op& op, const ScanGrid& grid, F&& f) {
  const Index most = chunk_count(grid.time, grid.chunk);
  for_each_share(grid.sequences * most, grid.workers, [&](Index j, Index worker) {
    const Index sequence = j / most, position = j % most, length = op.length(sequence);
    const Index chunks = chunk_count(length, grid.chunk);
    if (position < chunks) f(ScanJob{sequence, position, worker, chunk_tokens(grid, length, position)}, chunks);
  });
}

}  // namespace detail

/// Chunk after chunk, the state carried from one to the next; sequences are spread over threads. Token after token in
/// one run where the chunk is as long as the sequence.
template <ScanOperation Op>
void scan_chunked(const Op& op, const ScanGrid& grid) {
  detail::for_each_share(grid.sequences, grid.workers, [&](Index sequence, Index worker) {
    const Index length = op.length(sequence), chunks = chunk_count(length, grid.chunk);
    for (Index i = 0; i < chunks; ++i) {
      op.emit(ScanJob{sequence, i, worker, detail::chunk_tokens(grid, length, i)}, op.state(sequence, 0));
    }
  });
}

/// Every sequence in one run, from its first token visited to its last.
template <ScanOperation Op>
void scan_sequential(const Op& op, ScanGrid grid) {
  grid.chunk = std::max<Index>(grid.time, 1);
  scan_chunked(op, grid);
}

/// Summarise the chunks to elements, let the elements act one after another to find the state that enters each chunk,
/// and emit the chunks from there. The first and the last of these run chunks of all sequences at once.
template <ParallelScanOperation Op>
void scan_parallel(const Op& op, const ScanGrid& grid) {
  detail::for_each_chunk(op, grid, [&](const ScanJob& job, Index chunks) {
    if (Op::keeps_local || job.position + 1 < chunks) op.summarise(job, op.element(job.sequence, job.position));
  });
  detail::for_each_share(grid.sequences, std::min(grid.workers, grid.sequences), [&](Index s, Index) {
    const Index chunks = chunk_count(op.length(s), grid.chunk);
    for (Index i = 0; i + 1 < chunks; ++i) op.monoid().act(op.element(s, i), op.state(s, i), op.state(s, i + 1));
  });
  detail::for_each_chunk(op, grid,
                         [&](const ScanJob& job, Index) { op.emit(job, op.state(job.sequence, job.position)); });
  for (Index s = 0; s < grid.sequences; ++s) {
    const Index chunks = chunk_count(op.length(s), grid.chunk);
    if (chunks > 1) op.finish(s, chunks - 1);
  }
}

/// The schedule's choice between the two.
template <ParallelScanOperation Op>
void run_scan(const Op& op, const ScanGrid& grid, const ScanSchedule& schedule) {
  if (schedule.parallel) {
    scan_parallel(op, grid);
  } else {
    scan_chunked(op, grid);
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
