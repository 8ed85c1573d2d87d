#pragma once

#include <stepscan/ops/decay_chunk.hpp>
#include <stepscan/ops/decay_team.hpp>
#include <stepscan/scan/decay.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// States kept at the start of every `segment` tokens, for the backward pass; nothing where data is null.
template <Scalar S>
struct DecayCheckpoints {
  S* data = nullptr;  ///< [batch * heads, segments, state size]
  Index segment = 1;
  Index segments = 0;
};

namespace detail {

/// Tokens between two checkpoints: a whole number of runs.
[[nodiscard]] constexpr Index checkpoint_segment(Index run) noexcept { return (63 + run) / run * run; }

/// How a form cuts the tokens: into runs past the state, chunks that are summarised, and jobs of the executor.
struct DecayCut {
  Index run = 1;
  Index chunk = 1;
  Index outer = 0;
};

template <class Attention>
[[nodiscard]] constexpr DecayCut decay_cut(const Attention& op, Index time, const ScanSchedule& schedule,
                                           bool recurrent) noexcept {
  constexpr Index parallel_chunk = 256;
  const Index own = op.run_tokens(), whole = std::max<Index>(time, 1);
  if (!schedule.parallel) {
    const Index run = std::min(schedule.chunk > 0 && !recurrent ? schedule.chunk : own, whole);
    return {run, 1, run};
  }
  const Index outer = schedule.chunk > 0 ? schedule.chunk : parallel_chunk;
  const Index chunk = decay_chunk<typename Attention::Policy, typename Attention::scalar_type>(op.sizes);
  return {std::min(own, outer), std::min(chunk, outer), outer};
}

/// Every head of every sequence is scanned by itself. A job runs chunk after chunk, or token after token.
template <class Attention, Scalar S = typename Attention::scalar_type>
struct DecayScan {
  static constexpr bool keeps_local = false;
  using scalar_type = S;
  using Operator = Attention;
  using Element = typename Attention::Element;

  Attention op;
  SequenceView<S> y;
  DecayState<S> start;
  DecayCut cut;
  bool recurrent = false;
  bool chooses = false;  ///< no chunk was asked for
  Index chunks = 1;
  S* scratch = nullptr;  ///< per worker
  S* slots = nullptr;    ///< parallel only: an element and a state per job
  DecayCheckpoints<S> kept;

  [[nodiscard]] Index head_count() const noexcept { return op.sizes.heads; }
  [[nodiscard]] Index length(Index s) const noexcept { return op.k.length(s / head_count()); }
  [[nodiscard]] auto monoid() const noexcept { return op.monoid(); }
  [[nodiscard]] DecayState<S> state(Index s, Index i) const noexcept {
    return i == 0 ? op.state_of(start, s) : op.state_at(slot(s, i) + op.element_size());
  }
  [[nodiscard]] Element element(Index s, Index i) const noexcept { return op.element_at(slot(s, i)); }
  void finish(Index s, Index i) const noexcept { op.copy_state(state(s, i), state(s, 0)); }

  [[nodiscard]] Index scratch_size() const noexcept {
    return worker_stride<S>(std::max(op.run_size(cut.run), op.tile_size(cut.chunk)));
  }

  void summarise(const ScanJob& job, const Element& element) const noexcept {
    monoid().identity(element);
    auto tiles = op.tiles(scratch_of(job), cut.chunk);
    for_each(job, cut.chunk, [&](Index b, Index h, TokenRange tokens) { op.append(b, h, tokens, tiles, element); });
  }

  /// Whether a sequence runs token after token: asked to, or left the choice and too short for groups to pay.
  [[nodiscard]] bool in_turn(Index s) const noexcept { return recurrent || (chooses && length(s) < op.shortest_run()); }

  void emit(const ScanJob& job, const DecayState<S>& state) const noexcept {
    for_each(job, cut.run, [&](Index, Index, TokenRange tokens) {
      pass(job, tokens, state, rows_ahead(job.sequence, {tokens.end, std::min(tokens.end + cut.run, job.tokens.end)}));
    });
  }

  /// One run of a job, while the rows of what comes next are asked for.
  void pass(const ScanJob& job, TokenRange tokens, const DecayState<S>& state, RowsAhead<S> ahead) const noexcept {
    const Index b = job.sequence / head_count(), h = job.sequence % head_count();
    if (keeps(tokens)) op.copy_state(state, kept_at(job.sequence, tokens));
    if (in_turn(job.sequence)) {
      op.template run<false>(b, h, tokens, scratch_of(job), state, outputs(b, h, tokens), ahead);
    } else {
      op.template run<true>(b, h, tokens, scratch_of(job), state, outputs(b, h, tokens), ahead);
    }
  }

  /// The rows that these tokens of a sequence read and write.
  [[nodiscard]] RowsAhead<S> rows_ahead(Index s, TokenRange tokens) const noexcept {
    return rows_ahead(s, tokens, tokens, {0, op.sizes.value_dim});
  }
  /// The same of a worker that gathers some tokens and passes others by these columns.
  [[nodiscard]] RowsAhead<S> rows_ahead(Index s, TokenRange gathered, TokenRange passed,
                                        ColumnRange columns) const noexcept {
    const Index b = s / head_count(), h = s % head_count();
    RowsAhead<S> ahead;
    if (gathered.size() > 0) op.gathers(b, h, gathered, ahead);
    if (passed.size() > 0) {
      ahead.add(op.values(b, h, passed).middle_cols(columns.begin, columns.size()));
      ahead.add(outputs(b, h, passed).middle_cols(columns.begin, columns.size()));
    }
    return ahead;
  }

  /// The outputs of a run, all columns.
  [[nodiscard]] MatrixView<S> outputs(Index b, Index h, TokenRange tokens) const noexcept {
    return {y.token(b, tokens.begin) + h * op.sizes.value_dim, tokens.size(), op.sizes.value_dim, y.time_stride};
  }
  /// Whether the state that enters these tokens is kept, and where.
  [[nodiscard]] bool keeps(TokenRange tokens) const noexcept {
    return kept.data != nullptr && tokens.begin % kept.segment == 0;
  }
  [[nodiscard]] DecayState<S> kept_at(Index s, TokenRange tokens) const noexcept {
    return op.state_at(kept.data + (s * kept.segments + tokens.begin / kept.segment) * op.state_size());
  }

 private:
  [[nodiscard]] S* slot(Index s, Index i) const noexcept {
    return slots + (s * chunks + i) * (op.element_size() + op.state_size());
  }
  [[nodiscard]] S* scratch_of(const ScanJob& job) const noexcept { return scratch + job.worker * scratch_size(); }
  template <class F>
  void for_each(const ScanJob& job, Index size, F&& f) const noexcept {
    for (Index t = job.tokens.begin; t < job.tokens.end; t += size) {
      f(job.sequence / head_count(), job.sequence % head_count(), TokenRange{t, std::min(t + size, job.tokens.end)});
    }
  }
};

/// Sequences over workers; each passes a run of one batch member's tokens through all of its heads before the next run,
/// for the rows of heads lie side by side.
template <class Scan>
void scan_heads(const Scan& op, const ScanGrid& grid) {
  const Index heads = op.head_count();
  parallel_for(grid.workers, [&](Index worker) {
    const Index end = grid.sequences * (worker + 1) / grid.workers;
    for (Index first = grid.sequences * worker / grid.workers, last; first < end; first = last) {
      last = std::min(end, (first / heads + 1) * heads);
      const Index length = op.length(first), runs = chunk_count(length, grid.chunk);
      for (Index i = 0; i < runs; ++i) {
        const TokenRange tokens = chunk_tokens(grid, length, i);
        const TokenRange behind = i + 1 < runs ? chunk_tokens(grid, length, i + 1) : TokenRange{};
        for (Index s = first; s < last; ++s) {
          op.pass(ScanJob{s, i, worker, tokens}, tokens, op.state(s, 0),
                  s + 1 < last ? op.rows_ahead(s + 1, tokens) : op.rows_ahead(first, behind));
        }
      }
    }
  });
}

}  // namespace detail

/// A decaying state read by queries, each head of each sequence by itself:
///   y_t = scale q_t^T S_t,  S_t = a_t S_(t-1) + b_t k_t v_t^T
/// from the state, tensors [batch, heads, ...], and into it. y [batch, time, heads * value_dim] must not overlap the
/// inputs.
template <class Attention, Scalar S = typename Attention::scalar_type>
void decay_attention_scan(const Attention& op, const DecayState<S>& state, SequenceView<S> y,
                          const ScanSchedule& schedule, bool recurrent, Workspace& workspace,
                          const DecayCheckpoints<S>& kept = {}) {
  const Workspace::Scope scope(workspace);
  const Index sequences = y.batch * op.sizes.heads,
              work = sequences * y.time * op.sizes.key_dim * op.sizes.value_dim * 2;
  const detail::DecayCut cut = detail::decay_cut(op, y.time, schedule, recurrent);
  const Index chunks = schedule.parallel ? chunk_count(y.time, cut.outer) : 1;
  ScanGrid grid{sequences, y.time, cut.outer, worker_count(sequences * chunks, work), Direction::forward};
  using Scan = detail::DecayScan<Attention>;
  Scan scan{op, y, state, cut, recurrent, schedule.chunk == 0, chunks, nullptr, nullptr, kept};
  const Index all = worker_count(sequences * op.sizes.value_dim, work);
  const bool splits = !schedule.parallel && (!recurrent || Attention::splits_tokens);
  const Index bands = !splits ? 1 : detail::DecayTeam<Scan>::bands_of(op, sequences, all);
  if (bands > 1) grid.workers = all;
  scan.scratch = workspace.take<S>(grid.workers * scan.scratch_size());
  if (chunks > 1) scan.slots = workspace.take<S>(sequences * chunks * (op.element_size() + op.state_size()));
  if (schedule.parallel) {
    scan_parallel(scan, grid);
  } else if (bands > 1) {
    detail::DecayTeam<Scan>(scan, grid, bands, workspace).run();
  } else {
    detail::scan_heads(scan, grid);
  }
  clear_padding(op.k, y);
}

/// Checkpoints for a scan of this schedule, in a tensor that grows to hold them.
template <class Attention, Scalar S = typename Attention::scalar_type>
[[nodiscard]] DecayCheckpoints<S> decay_checkpoints(const Attention& op, const ScanSchedule& schedule, bool recurrent,
                                                    Tensor<S, Dynamic>& memory) {
  const Index time = op.k.time;
  const detail::DecayCut cut = detail::decay_cut(op, time, schedule, recurrent);
  const Index segment = schedule.parallel ? cut.outer : detail::checkpoint_segment(cut.run);
  const Index segments = chunk_count(time, segment), size = op.k.batch * op.sizes.heads * segments * op.state_size();
  if (memory.size() < size) memory = Tensor<S, Dynamic>(size);
  return {memory.data(), segment, segments};
}

/// One token of every sequence; `scratch` holds op.tile_size(1) numbers.
template <class Attention, Scalar S = typename Attention::scalar_type>
void decay_attention_step(const Attention& op, const DecayState<S>& state, SequenceView<S> y, S* scratch) noexcept {
  auto tiles = op.tiles(scratch, 1);
  for (Index b = 0; b < y.batch; ++b) {
    for (Index h = 0; h < op.sizes.heads; ++h) {
      op.token(b, h, 0, tiles, op.state_of(state, b * op.sizes.heads + h), y.token(b, 0) + h * op.sizes.value_dim);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
