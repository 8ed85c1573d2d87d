#pragma once

#include <stepscan/kernels/dot.hpp>
#include <stepscan/ops/softmax_scan.hpp>
#include <stepscan/scan/decay.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What a softmax_scan gave, and the cotangents of it and of what went in; dlse may be a view of nothing.
template <Scalar S>
struct SoftmaxScanCotangents {
  SequenceView<const S> y;
  SequenceView<const S> lse;
  SequenceView<const S> dy;
  SequenceView<const S> dlse;
  SequenceView<S> dlogits;
  SequenceView<S> dvalues;
};

namespace detail {

/// A scan in reverse, over the vector A and the number b behind it, in one row of memory: with L_i = lse_i, which never
/// falls, and g_i, c_i the cotangents of y_i and L_i,
///   A_i = g_i + f_i A_(i+1),   b_i = (g_i.y_i - c_i) + f_i b_(i+1),   f_i = exp(L_i - L_(i+1)),
///   e_i = exp(s_i - L_i),  dv_i = e_i A_i,  ds_i = e_i (A_i.v_i - b_i).
/// The f_i are decays: DecayAction of one row.
template <Scalar S>
struct SoftmaxScanBackward {
  static constexpr bool keeps_local = false;
  using Decays = DecayAction<S, false, false>;

  SoftmaxScanInputs<S> in;
  SoftmaxScanCotangents<S> to;
  Index chunks = 1;
  S* slots = nullptr;  ///< per job a state, an element and its decay

  [[nodiscard]] Index row_size() const noexcept { return in.value_dim + 1; }
  [[nodiscard]] Index slot_size() const noexcept { return 2 * row_size() + 1; }
  [[nodiscard]] S* row(Index s, Index i) const noexcept { return slots + (s * chunks + i) * slot_size(); }

  [[nodiscard]] Index length(Index s) const noexcept { return in.logits.length(s / in.heads); }
  [[nodiscard]] Decays monoid() const noexcept { return {1, row_size()}; }
  [[nodiscard]] DecayState<S> state(Index s, Index i) const noexcept { return {row(s, i)}; }
  [[nodiscard]] typename Decays::Element element(Index s, Index i) const noexcept {
    S* const at = row(s, i) + row_size();
    return {at + row_size(), {at}};
  }
  void finish(Index s, Index i) const noexcept { std::copy_n(row(s, i), row_size(), row(s, 0)); }

  void summarise(const ScanJob& job, const typename Decays::Element& element) const noexcept {
    monoid().identity(element);
    scan(job, element.state.matrix, element.decay);
  }
  void emit(const ScanJob& job, const DecayState<S>& state) const noexcept { scan(job, state.matrix, nullptr); }

 private:
  /// Moves the row before the tokens; writes the cotangents of the inputs unless the product of the decays is wanted.
  void scan(const ScanJob& job, S* carried, S* product) const noexcept {
    const Index b = job.sequence / in.heads, h = job.sequence % in.heads;
    for (Index end = job.tokens.end; end > job.tokens.begin; end -= softmax_block) {
      const Index begin = std::max(job.tokens.begin, end - softmax_block);
      SoftmaxBlock<S> decay, share;
      const auto at = [&](auto& block, Index t) -> S& { return block[static_cast<std::size_t>(t - begin)]; };
      for (Index t = begin; t < end; ++t) {
        const S own = to.lse.token(b, t)[h], next = t + 1 < length(job.sequence) ? to.lse.token(b, t + 1)[h] : own;
        at(decay, t) = difference(own, next);
        at(share, t) = difference(in.logits.token(b, t)[h], own);
      }
      exp_in_place(decay.data(), end - begin);
      exp_in_place(share.data(), end - begin);
      for (Index t = end - 1; t >= begin; --t) {
        token(b, h, t, at(decay, t), at(share, t), carried, product == nullptr);
        if (product != nullptr) *product *= at(decay, t);
      }
    }
  }

  void token(Index b, Index h, Index t, S decay, S share, S* carried, bool writes) const noexcept {
    const Index values = in.value_dim, first = h * values;
    const S *g = to.dy.token(b, t) + first, *y = to.y.token(b, t) + first, *v = in.values.token(b, t) + first;
    S* const dv = to.dvalues.token(b, t) + first;
    const auto sums = sum_lanes<S, 2>(values, [&](Index i, auto lanes) {
      const Simd<S> own = lanes.load(g + i), a = fma(Simd<S>(decay), lanes.load(carried + i), own);
      lanes.store(carried + i, a);
      if (writes) lanes.store(dv + i, Simd<S>(share) * a);
      return std::array{own * lanes.load(y + i), a * lanes.load(v + i)};
    });
    const S c = to.dlse.data == nullptr ? S{0} : to.dlse.token(b, t)[h];
    carried[values] = (sums[0] - c) + decay * carried[values];
    if (writes) to.dlogits.token(b, t)[h] = share * (sums[1] - carried[values]);
  }

  /// part - whole, of logarithms; minus infinity for a part that is nothing.
  static S difference(S part, S whole) noexcept {
    constexpr S none = -std::numeric_limits<S>::infinity();
    return part == none ? none : part - whole;
  }
};

/// The two ends of a softmax_scan's backward pass in one sequence of some tokens. y and lse depend on m_0 only by a
/// shift, which has no gradient; the raw numbers of the last state do depend on which logit was the largest.
template <Scalar S>
struct SoftmaxScanEnds {
  const SoftmaxScanBackward<S>& op;
  Index s;
  SoftmaxState<S> start;
  SoftmaxState<S> dstate;
  Index largest = -1;  ///< the token of the largest logit, or -1 where the first state's maximum stayed
  S maximum;

  SoftmaxScanEnds(const SoftmaxScanBackward<S>& scan, Index sequence, const SoftmaxState<S>& first,
                  const SoftmaxState<S>& cotangents) noexcept
      : op(scan),
        s(sequence),
        start(first),
        dstate(cotangents),
        maximum(is_empty() ? -std::numeric_limits<S>::infinity() : *start.maximum) {
    for (Index t = 0; t < op.length(s); ++t) {
      const S logit = op.in.logits.token(s / op.in.heads, t)[s % op.in.heads];
      if (!(logit > maximum)) continue;
      maximum = logit;
      largest = t;
    }
  }

  /// From the cotangents of the last m, u and w to those of y and lse of the last token, behind which nothing decays.
  /// What is left of m's, which is that of the largest logit, takes their place. With u = exp(lse - m) and w = u y:
  ///   A = u dw,  b = -u du,  dm - u du - w.dw.
  void open() const noexcept {
    const Index last = op.length(s) - 1, b = s / op.in.heads, h = s % op.in.heads, values = op.in.value_dim;
    S* const row = op.row(s, 0);
    const S u = is_empty() && largest < 0 ? S{0} : std::exp(op.to.lse.token(b, last)[h] - maximum);
    const S* const y = op.to.y.token(b, last) + h * values;
    for (Index i = 0; i < values; ++i) row[i] = u * dstate.weighted[i];
    row[values] = -u * *dstate.sum;
    *dstate.maximum += row[values] - dot(row, y, values);
  }

  /// From the row in front of the first token to the cotangents of the first state:
  ///   r = exp(m_0 - L_0),  dw = r A,  du = -r b,  dm = r (A.w - b u),
  /// and to the largest logit what was left for it.
  void close() const noexcept {
    const Index b = s / op.in.heads, h = s % op.in.heads, values = op.in.value_dim;
    const S* const row = op.row(s, 0);
    const S left = *dstate.maximum, r = is_empty() ? S{0} : std::exp(*start.maximum - op.to.lse.token(b, 0)[h]);
    *dstate.maximum = r * (dot(row, start.weighted, values) - row[values] * *start.sum);
    *dstate.sum = -r * row[values];
    for (Index i = 0; i < values; ++i) dstate.weighted[i] = r * row[i];
    (largest < 0 ? *dstate.maximum : op.to.dlogits.token(b, largest)[h]) += left;
  }

 private:
  [[nodiscard]] bool is_empty() const noexcept { return *start.sum == S{0}; }
};

}  // namespace detail

/// The backward pass of softmax_scan. `start` is its first state; `dstate` holds the cotangents of the last state's
/// m, u and w and then those of the first. Of a first state that is empty only m, which is a shift, has any.
template <Scalar S>
void softmax_scan_backward(const SoftmaxScanInputs<S>& in, const SoftmaxState<S>& start,
                           const SoftmaxScanCotangents<S>& to, const SoftmaxState<S>& dstate,
                           const ScanSchedule& schedule, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const ScanGrid grid = detail::softmax_grid(in, schedule, Direction::backward);
  const Index chunks = schedule.parallel ? std::max<Index>(chunk_count(grid.time, grid.chunk), 1) : 1;
  detail::SoftmaxScanBackward<S> op{in, to, chunks, nullptr};
  op.slots = workspace.take<S>(in.sequences() * chunks * op.slot_size());
  const auto ends = [&](Index s) {
    return detail::SoftmaxScanEnds<S>(op, s, in.state_of(start, s), in.state_of(dstate, s));
  };
  for (Index s = 0; s < in.sequences(); ++s) {
    if (op.length(s) > 0) ends(s).open();
  }
  run_scan(op, grid, schedule);
  for (Index s = 0; s < in.sequences(); ++s) {
    if (op.length(s) > 0) ends(s).close();
  }
  clear_padding(in.logits, to.dlogits);
  clear_padding(in.logits, to.dvalues);
}

}  // namespace stepscan::inline STEPSCAN_ISA
