#pragma once

#include <stepscan/ops/decay_chunk.hpp>
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

/// Tokens between two checkpoints: a whole number of chunks.
[[nodiscard]] constexpr Index checkpoint_segment(Index chunk) noexcept { return (63 + chunk) / chunk * chunk; }

/// Fewer tokens than this are not worth a chunk's preparation.
inline constexpr Index shortest_chunk = 4;

/// How a form cuts the tokens: the chunk of the products (1: token after token) and that of the executor.
struct DecayCut {
  Index chunk = 1;
  Index outer = 0;
};

template <class Policy, Scalar S>
[[nodiscard]] constexpr DecayCut decay_cut(const DecaySizes& sizes, Index time, const ScanSchedule& schedule,
                                           bool recurrent) noexcept {
  if (recurrent) return {1, std::max<Index>(time, 1)};
  const Index own = decay_chunk<Policy, S>(sizes);
  if (!schedule.parallel) {
    const Index chunk =
        schedule.chunk > 0 ? (Policy::per_channel ? std::min(schedule.chunk, own) : schedule.chunk) : own;
    return {chunk, std::max<Index>(time, 1)};
  }
  constexpr Index parallel_chunk = 256;
  const Index outer = schedule.chunk > 0 ? schedule.chunk : parallel_chunk;
  return {std::min(own, outer), outer};
}

/// Every head of every sequence is scanned by itself. A job runs chunk after chunk, or token after token.
template <class Attention, Scalar S = typename Attention::scalar_type>
struct DecayScan {
  static constexpr bool keeps_local = false;
  using Element = typename Attention::Element;

  Attention op;
  SequenceView<S> y;
  DecayState<S> start;
  Index chunk = 1;
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

  void summarise(const ScanJob& job, const Element& element) const noexcept {
    monoid().identity(element);
    auto tiles = tiles_of(job);
    for_each_chunk(job, [&](Index b, Index h, TokenRange tokens) { op.append(b, h, tokens, tiles, element); });
  }

  void emit(const ScanJob& job, const DecayState<S>& state) const noexcept {
    auto tiles = tiles_of(job);
    for_each_chunk(job, [&](Index b, Index h, TokenRange tokens) {
      if (kept.data != nullptr && tokens.begin % kept.segment == 0) {
        const Index at = job.sequence * kept.segments + tokens.begin / kept.segment;
        op.copy_state(state, op.state_at(kept.data + at * op.state_size()));
      }
      if (tokens.size() < shortest_chunk) {
        for (Index t = tokens.begin; t < tokens.end; ++t) {
          op.token(b, h, t, tiles, state, y.token(b, t) + h * op.sizes.value_dim);
        }
        return;
      }
      S* const out = y.token(b, tokens.begin) + h * op.sizes.value_dim;
      op.weigh(b, h, tokens, state, tiles);
      op.prepare(b, h, tokens, tiles);
      const MatrixView<const S> rows = op.written(b, h, tokens, tiles, state);
      op.read(rows, tiles, state, {out, tokens.size(), op.sizes.value_dim, y.time_stride});
      op.update(rows, tiles, state);
    });
  }

 private:
  [[nodiscard]] S* slot(Index s, Index i) const noexcept {
    return slots + (s * chunks + i) * (op.element_size() + op.state_size());
  }
  [[nodiscard]] auto tiles_of(const ScanJob& job) const noexcept {
    return op.tiles(scratch + job.worker * op.tile_size(chunk), chunk);
  }
  template <class F>
  void for_each_chunk(const ScanJob& job, F&& f) const noexcept {
    for (Index t = job.tokens.begin; t < job.tokens.end; t += chunk) {
      f(job.sequence / head_count(), job.sequence % head_count(), TokenRange{t, std::min(t + chunk, job.tokens.end)});
    }
  }
};

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
  const detail::DecayCut cut = detail::decay_cut<typename Attention::Policy, S>(op.sizes, y.time, schedule, recurrent);
  const Index chunks = schedule.parallel ? chunk_count(y.time, cut.outer) : 1;
  const ScanGrid grid{sequences, y.time, cut.outer, worker_count(sequences * chunks, work), Direction::forward};
  detail::DecayScan<Attention> scan{op, y, state, cut.chunk, chunks, nullptr, nullptr, kept};
  scan.scratch = workspace.take<S>(grid.workers * op.tile_size(cut.chunk));
  if (chunks > 1) scan.slots = workspace.take<S>(sequences * chunks * (op.element_size() + op.state_size()));
  run_scan(scan, grid, schedule);
  clear_padding(op.k, y);
}

/// Checkpoints for a scan of this schedule, in a tensor that grows to hold them.
template <class Attention, Scalar S = typename Attention::scalar_type>
[[nodiscard]] DecayCheckpoints<S> decay_checkpoints(const Attention& op, const ScanSchedule& schedule, bool recurrent,
                                                    Tensor<S, Dynamic>& memory) {
  const Index time = op.k.time;
  const auto cut = detail::decay_cut<typename Attention::Policy, S>(op.sizes, time, schedule, recurrent);
  const Index segment = schedule.parallel ? cut.outer : detail::checkpoint_segment(cut.chunk);
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
