#pragma once

#include <array>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/scan/executors.hpp>
#include <stepscan/scan/softmax.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Logits [batch, time, heads] and values [batch, time, heads * value_dim] of keys that a fixed query of each head
/// sees.
template <Scalar S>
struct SoftmaxScanInputs {
  Index heads = 0;
  Index value_dim = 0;
  SequenceView<const S> logits;
  SequenceView<const S> values;

  [[nodiscard]] Index sequences() const noexcept { return logits.batch * heads; }
  [[nodiscard]] SoftmaxFold<S> fold() const noexcept { return {value_dim}; }
  /// The part that belongs to a head of a batch member of tensors m, u [batch, heads] and w [batch, heads, value_dim].
  [[nodiscard]] SoftmaxState<S> state_of(const SoftmaxState<S>& state, Index s) const noexcept {
    return {state.maximum + s, state.sum + s, state.weighted + s * value_dim};
  }
};

namespace detail {

/// Tokens whose exponentials are taken together.
inline constexpr Index softmax_block = 64;
template <Scalar S>
using SoftmaxBlock = std::array<S, static_cast<std::size_t>(softmax_block)>;

template <Scalar S>
void exp_in_place(S* x, Index count) noexcept {
  transform(x, x, count, [](Simd<S> value) { return exp(value); });
}

/// The tokens of one head of one sequence, at most a block of them: with the running maximum m_t = max(m_(t-1), s_t),
///   u_t = a u_(t-1) + b,  w_t = a w_(t-1) + b v_t,  y_t = w_t / u_t,   a = exp(m_(t-1) - m_t),  b = exp(s_t - m_t),
/// of which one is 1. `y` is null where only the state is wanted, `lse` where nobody asked for it.
template <Scalar S>
[[gnu::noinline]] void fold_tokens(const SoftmaxScanInputs<S>& in, Index b, Index h, TokenRange tokens,
                                   const SoftmaxState<S>& state, const SequenceView<S>& y,
                                   const SequenceView<S>& lse) noexcept {
  constexpr S none = -std::numeric_limits<S>::infinity();
  SoftmaxBlock<S> decay, maxima;
  std::array<bool, static_cast<std::size_t>(softmax_block)> rises;
  const auto at = [&](auto& block, Index t) -> auto& { return block[static_cast<std::size_t>(t - tokens.begin)]; };
  S m = *state.sum == S{0} ? none : *state.maximum, u = *state.sum;
  for (Index t = tokens.begin; t < tokens.end; ++t) {
    const S s = in.logits.token(b, t)[h];
    at(rises, t) = s > m;
    at(decay, t) = s == none || m == none ? none : -std::abs(s - m);
    if (s > m) m = s;
    at(maxima, t) = m;
  }
  exp_in_place(decay.data(), tokens.size());
  const Index values = in.value_dim;
  for (Index t = tokens.begin; t < tokens.end; ++t) {
    const S own = at(rises, t) ? at(decay, t) : S{1}, added = at(rises, t) ? S{1} : at(decay, t);
    u = own * u + added;
    const S inverse = u == S{0} ? S{0} : 1 / u;
    const S* const v = in.values.token(b, t) + h * values;
    S* const out = y.data == nullptr ? nullptr : y.token(b, t) + h * values;
    for_each_lanes<S>(values, [&](Index i, auto lanes) {
      const Simd<S> w = fma(Simd<S>(own), lanes.load(state.weighted + i), Simd<S>(added) * lanes.load(v + i));
      lanes.store(state.weighted + i, w);
      if (out != nullptr) lanes.store(out + i, w * Simd<S>(inverse));
    });
    if (lse.data != nullptr) lse.token(b, t)[h] = u == S{0} ? none : at(maxima, t) + std::log(u);
  }
  *state.sum = u;
  if (u != S{0}) *state.maximum = m;
}

/// Calls f(block) for the blocks of a range, in their order.
template <class F>
void for_each_softmax_block(TokenRange tokens, F&& f) {
  for (Index t = tokens.begin; t < tokens.end; t += softmax_block) {
    f(TokenRange{t, std::min(t + softmax_block, tokens.end)});
  }
}

/// Tokens of a chunk for the executors.
[[nodiscard]] constexpr Index softmax_chunk(const ScanSchedule& schedule) noexcept {
  constexpr Index chosen = 1024;
  return schedule.chunk > 0 ? schedule.chunk : chosen;
}

template <Scalar S>
[[nodiscard]] ScanGrid softmax_grid(const SoftmaxScanInputs<S>& in, Index sequences, const ScanSchedule& schedule,
                                    Direction direction) {
  const Index time = in.logits.time, chunk = softmax_chunk(schedule);
  const Index jobs = schedule.parallel ? sequences * chunk_count(time, chunk) : sequences;
  return {sequences, time, chunk, worker_count(jobs, in.sequences() * time * in.value_dim), direction};
}

/// All heads of a batch member together, a block of tokens at a time, so that a long sequence is read once.
template <Scalar S>
struct SoftmaxScan {
  static constexpr bool keeps_local = false;

  SoftmaxScanInputs<S> in;
  SoftmaxState<S> start;
  SequenceView<S> y;
  SequenceView<S> lse;
  Index chunks = 1;
  S* slots = nullptr;  ///< parallel only: an element and a state per job

  [[nodiscard]] Index length(Index b) const noexcept { return in.logits.length(b); }
  [[nodiscard]] SoftmaxHeads<S> monoid() const noexcept { return {in.heads, in.fold()}; }
  [[nodiscard]] Index state_size() const noexcept { return in.heads * (2 + in.value_dim); }
  [[nodiscard]] SoftmaxState<S> element(Index b, Index i) const noexcept { return state_at(slot(b, i)); }
  [[nodiscard]] SoftmaxState<S> state(Index b, Index i) const noexcept {
    return i == 0 ? in.state_of(start, b * in.heads) : state_at(slot(b, i) + state_size());
  }
  void finish(Index b, Index i) const noexcept {
    const SoftmaxState<S> from = state(b, i), to = state(b, 0);
    std::copy_n(from.maximum, in.heads, to.maximum);
    std::copy_n(from.sum, in.heads, to.sum);
    std::copy_n(from.weighted, in.heads * in.value_dim, to.weighted);
  }

  void summarise(const ScanJob& job, const SoftmaxState<S>& element) const noexcept {
    monoid().identity(element);
    fold(job, element, {}, {});
  }
  void emit(const ScanJob& job, const SoftmaxState<S>& state) const noexcept { fold(job, state, y, lse); }

 private:
  [[nodiscard]] S* slot(Index b, Index i) const noexcept { return slots + (b * chunks + i) * 2 * state_size(); }
  [[nodiscard]] SoftmaxState<S> state_at(S* memory) const noexcept {
    return {memory, memory + in.heads, memory + 2 * in.heads};
  }
  void fold(const ScanJob& job, const SoftmaxState<S>& state, const SequenceView<S>& out,
            const SequenceView<S>& log_sums) const noexcept {
    for_each_softmax_block(job.tokens, [&](TokenRange block) {
      for (Index h = 0; h < in.heads; ++h) {
        fold_tokens(in, job.sequence, h, block, monoid().head(state, h), out, log_sums);
      }
    });
  }
};

}  // namespace detail

/// The softmax of a growing set of keys, after each key, from the state m, u [batch, heads], w [batch, heads,
/// value_dim] and into it:
///   y_t = sum_(j <= t) exp(s_j) v_j / sum_(j <= t) exp(s_j),   lse_t = log sum_(j <= t) exp(s_j)
/// y [batch, time, heads * value_dim]; lse [batch, time, heads], or a view of nothing. y must not overlap the inputs.
template <Scalar S>
void softmax_scan(const SoftmaxScanInputs<S>& in, const SoftmaxState<S>& state, SequenceView<S> y, SequenceView<S> lse,
                  const ScanSchedule& schedule, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const ScanGrid grid = detail::softmax_grid(in, in.logits.batch, schedule, Direction::forward);
  const Index chunks = chunk_slots(grid, schedule);
  detail::SoftmaxScan<S> op{in, state, y, lse, chunks, nullptr};
  if (chunks > 1) op.slots = workspace.take<S>(in.logits.batch * chunks * 2 * op.state_size());
  run_scan(op, grid, schedule);
  clear_padding(in.logits, y);
}

/// One token of every sequence.
template <Scalar S>
void softmax_scan_step(const SoftmaxScanInputs<S>& in, const SoftmaxState<S>& state, SequenceView<S> y) noexcept {
  for (Index s = 0; s < in.sequences(); ++s) {
    detail::fold_tokens(in, s / in.heads, s % in.heads, {0, 1}, in.state_of(state, s), y, {});
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
