#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/ops/gated_recurrence.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// See Newton in layers/forms.hpp.
struct NewtonOptions {
  double damping = 0;
  double tolerance = 0;
  int max_iterations = 100;
  Index chunk = 64;
};

struct NewtonOutcome {
  int iterations = 0;
  double residual = 0;
  bool fell_back = false;
};

namespace detail {

/// One chunk of one batch member, solved for all its states s_1, ..., s_n at once: from a guess s, an iteration
/// evaluates
///   F_t = f_t(s_{t-1})                         all tokens at once, U h as one product
///   s'_t = F_t + A_t (s'_{t-1} - s_{t-1})      an affine recursion, A_t the Jacobian of f_t at s_{t-1} or a part of it
/// A_t acts through the cell: A delta = D delta + sum_g C_g (U_g delta_h), where D and C_g are the pointwise
/// derivatives that the cell's VJP gives for unit cotangents. Full takes U_g delta_h as it is, so that no Jacobian is
/// ever stored and a token costs hidden^2, not hidden^3; otherwise U_g is replaced by its diagonal and the recursion is
/// elementwise.
template <class Cell, bool Full, class Math, Scalar S, class Weights>
class NewtonChunk {
  static constexpr std::size_t states = Cell::states;
  static constexpr Index gates = static_cast<Index>(Cell::gates);
  static constexpr Index recurrent_gates = static_cast<Index>(Cell::recurrent_gates);
  static constexpr Index fed_gates = recurrent_gates + (Cell::late_candidate ? 1 : 0);  ///< by U
  using V = Simd<S>;

 public:
  /// Numbers of memory that one instance works in.
  [[nodiscard]] static Index size(Index hidden, Index tokens) noexcept {
    return hidden * (2 * tokens * gates + static_cast<Index>(states) * (tokens + 1) + tokens +
                     3 * static_cast<Index>(states) + 2 * gates + 1);
  }

  NewtonChunk(const Weights& weights, Index tokens, S* memory) noexcept : weights_(weights), hidden_(weights.hidden()) {
    const auto take = [&](Index rows, Index cols) {
      const MatrixView<S> view(memory, rows, cols);
      memory += rows * cols;
      return view;
    };
    hoisted_ = take(tokens, gates * hidden_);
    gates_ = take(tokens, gates * hidden_);
    for (auto& state : states_) state = take(tokens + 1, hidden_);
    late_ = take(tokens, hidden_);
    for (auto* rows : {&delta_, &before_, &next_before_}) {
      for (auto& row : *rows) row = take(1, hidden_);
    }
    products_ = take(1, gates * hidden_);
    late_delta_ = take(1, hidden_);
    diagonals_ = take(1, gates * hidden_);
    if constexpr (!Full) weights.recurrent_diagonals(diagonals_.data);
  }

  /// Solves the tokens x from `state` on, into state and y. False when the iteration did not converge: then nothing
  /// was written.
  template <Index Inputs>
  bool solve(MatrixView<const S, Dynamic, Inputs> x, const StateRows<S, states>& state, MatrixView<S> y,
             const NewtonOptions& options, NewtonOutcome& outcome) noexcept {
    const Index count = x.rows;
    weights_.project(x, hoisted_.middle_rows(0, count));
    for (std::size_t i = 0; i < states; ++i) {
      for (Index t = 0; t <= count; ++t) std::copy_n(state[i].row(0), hidden_, states_[i].row(t));
    }
    const double tolerance = options.tolerance > 0 ? options.tolerance : sizeof(S) == sizeof(double) ? 1e-10 : 1e-5;
    double change = std::numeric_limits<double>::infinity();
    int iteration = 0;
    while (change >= tolerance && iteration < options.max_iterations) {
      change = iterate(iteration, count, static_cast<S>(1 - options.damping));
      ++iteration;
    }
    outcome.iterations = std::max(outcome.iterations, iteration);
    outcome.residual = std::max(outcome.residual, change);
    if (change >= tolerance) return false;
    for (std::size_t i = 0; i < states; ++i) std::copy_n(states_[i].row(count), hidden_, state[i].row(0));
    for (Index t = 0; t < count; ++t) std::copy_n(states_[0].row(t + 1), hidden_, y.row(t));
    return true;
  }

  /// Token after token, after solve() has failed on x.
  void step_through(const StateRows<S, states>& state, MatrixView<S> y) const noexcept {
    for (Index t = 0; t < y.rows; ++t) {
      advance<Cell, Math>(weights_, state, hoisted_.middle_rows(t, 1), late_.middle_rows(t, 1), y.middle_rows(t, 1));
    }
  }

 private:
  using Row = StateRows<S, states>;

  /// One iteration, of which the first `exact` tokens have no need any more: their input is exact, so they are. Returns
  /// the largest change of a state that others depend on or that is not exact now; infinity when one was not finite.
  double iterate(Index exact, Index count, S keep) noexcept {
    evaluate_gates(exact, count);
    for (std::size_t i = 0; i < states; ++i) std::copy_n(states_[i].row(exact), hidden_, before_[i].data);
    double change = 0;
    for (Index t = exact; t < count; ++t) {
      for (std::size_t i = 0; i < states; ++i) std::copy_n(states_[i].row(t + 1), hidden_, next_before_[i].data);
      if (t == exact) {
        for (auto& row : delta_) std::fill_n(row.data, hidden_, S{0});
      }
      linearise(t, keep);
      for (std::size_t i = 0; i < states; ++i) {
        const double moved = settle(states_[i].row(t + 1), next_before_[i].data, delta_[i].data, t == exact);
        if (t > exact || t + 1 < count) change = std::max(change, moved);
      }
      std::swap(before_, next_before_);
    }
    return change;
  }

  /// All pre-activations of tokens [first, count) at the guess.
  void evaluate_gates(Index first, Index count) noexcept {
    const Index n = count - first;
    const MatrixView<S> gate_rows = gates_.middle_rows(first, n);
    std::copy_n(hoisted_.row(first), n * gates * hidden_, gate_rows.data);
    weights_.recur(states_[0].middle_rows(first, n), gate_rows);
    if constexpr (Cell::late_candidate) {
      for (Index t = first; t < count; ++t) {
        for_each_lanes<S>(hidden_, [&](Index u, auto lanes) {
          const auto a = load_gates<Cell::gates>(gates_.row(t), hidden_, u, lanes);
          lanes.store(late_.row(t) + u, Cell::template late_input<Math>(a, load_state<S>(states_, t, u, lanes)));
        });
      }
      weights_.recur_late(late_.middle_rows(first, n), gate_rows);
    }
  }

  /// s'_t into row t + 1 of the states, from the guess before the token (before_) and what moved there (delta_).
  void linearise(Index t, S keep) noexcept {
    if constexpr (Full) {
      std::fill_n(products_.data, gates * hidden_, S{0});
      weights_.recur(delta_[0], products_);
    } else {
      multiply_diagonals(0, recurrent_gates, delta_[0].data);
    }
    if constexpr (Cell::late_candidate) {
      for_each_lanes<S>(hidden_, [&](Index u, auto lanes) {
        std::array<V, Cell::gates> dq;
        std::array<V, states> dq_state;
        dq.fill(V(S{0}));
        dq_state.fill(V(S{0}));
        Cell::late_pull_back(load_gates<Cell::gates>(gates_.row(t), hidden_, u, lanes),
                             load_state<S>(before_, 0, u, lanes), V(S{1}), dq, dq_state);
        lanes.store(late_delta_.data + u, along<recurrent_gates>(dq, dq_state, u, lanes));
      });
      if constexpr (Full) {
        weights_.recur_late(late_delta_, products_);
      } else {
        multiply_diagonals(recurrent_gates, recurrent_gates + 1, late_delta_.data);
      }
    }
    for_each_lanes<S>(hidden_, [&](Index u, auto lanes) {
      const auto a = load_gates<Cell::gates>(gates_.row(t), hidden_, u, lanes);
      const auto before = load_state<S>(before_, 0, u, lanes);
      auto next = before;
      Cell::template advance<Math>(a, next);
      for (std::size_t i = 0; i < states; ++i) {
        std::array<V, Cell::gates> da;
        std::array<V, states> dstate;
        dstate.fill(V(S{0}));
        dstate[i] = V(S{1});
        Cell::pull_back(a, before, da, dstate);
        lanes.store(states_[i].row(t + 1) + u, fma(V(keep), along<fed_gates>(da, dstate, u, lanes), next[i]));
      }
    });
  }

  /// The derivative along delta, from those with respect to the first Fed gates and to the state.
  template <Index Fed, class Lanes>
  [[nodiscard]] V along(const std::array<V, Cell::gates>& by_gate, const std::array<V, states>& by_state, Index u,
                        Lanes lanes) const noexcept {
    V sum = by_state[0] * lanes.load(delta_[0].data + u);
    for (std::size_t i = 1; i < states; ++i) sum = fma(by_state[i], lanes.load(delta_[i].data + u), sum);
    for (Index g = 0; g < Fed; ++g) {
      sum = fma(by_gate[static_cast<std::size_t>(g)], lanes.load(products_.data + g * hidden_ + u), sum);
    }
    return sum;
  }

  void multiply_diagonals(Index first, Index end, const S* delta) noexcept {
    for (Index g = first; g < end; ++g) {
      for_each_lanes<S>(hidden_, [&](Index u, auto lanes) {
        lanes.store(products_.data + g * hidden_ + u,
                    lanes.load(diagonals_.data + g * hidden_ + u) * lanes.load(delta + u));
      });
    }
  }

  /// delta = now - guess, and its largest magnitude. What is not finite becomes 0, but not an exact state, so that the
  /// iteration goes on from there.
  double settle(S* now, const S* guess, S* delta, bool exact) const noexcept {
    double change = 0;
    for (Index u = 0; u < hidden_; ++u) {
      delta[u] = now[u] - guess[u];
      if (std::isfinite(delta[u])) {
        change = std::max(change, static_cast<double>(std::abs(delta[u])));
        continue;
      }
      delta[u] = 0;
      if (!exact && !std::isfinite(now[u])) now[u] = 0;
      change = std::numeric_limits<double>::infinity();
    }
    return change;
  }

  const Weights& weights_;
  Index hidden_;
  MatrixView<S> hoisted_;  ///< W x + b [tokens, gates * hidden]
  MatrixView<S> gates_;    ///< all pre-activations at the guess
  Row states_;             ///< [tokens + 1, hidden] each; row 0 is exact
  MatrixView<S> late_;     ///< what a late candidate's weights multiply
  Row delta_;              ///< what this iteration has moved the state before the token by
  Row before_;             ///< the guess of the state before the token, and the one after it
  Row next_before_;
  MatrixView<S> products_;  ///< U_g delta [gates * hidden]
  MatrixView<S> late_delta_;
  MatrixView<S> diagonals_;
};

}  // namespace detail

/// The form Newton: chunks of options.chunk tokens, each solved by Newton's iteration from its first state repeated; a
/// chunk that does not converge runs token after token. After i iterations the first i tokens of a chunk are exact, so
/// a cap of options.chunk iterations always suffices. The damping scales the Jacobian by 1 - damping. With a late
/// candidate the diagonal form also leaves out what crosses units on the way through the reset gate. Batch members are
/// spread over threads.
template <class Cell, bool Full, class Math = Exact, Scalar S, Index Inputs, class Weights>
NewtonOutcome scan_newton(const Weights& weights, const StateRows<S, Cell::states>& state,
                          SequenceView<const S, Inputs> x, SequenceView<S> y, const NewtonOptions& options,
                          Workspace& workspace) {
  using Chunk = detail::NewtonChunk<Cell, Full, Math, S, Weights>;
  const Workspace::Scope scope(workspace);
  const Index tokens = std::clamp<Index>(options.chunk, 1, x.time);
  const Index blocks = std::min<Index>(max_threads(), x.batch), size = Chunk::size(weights.hidden(), tokens);
  S* memory = workspace.take<S>(blocks * size);
  NewtonOutcome* outcomes = workspace.take<NewtonOutcome>(blocks);
  parallel_for(blocks, [&](Index block) {
    Chunk chunk(weights, tokens, memory + block * size);
    NewtonOutcome& outcome = outcomes[block] = {};
    for (Index b = x.batch * block / blocks; b < x.batch * (block + 1) / blocks; ++b) {
      const auto own_state = middle_rows(state, b, 1);
      for (Index start = 0; start < x.length(b); start += tokens) {
        const Index count = std::min(tokens, x.length(b) - start);
        const MatrixView<S> out = y.member(b).middle_rows(start, count);
        if (chunk.solve(x.member(b).middle_rows(start, count), own_state, out, options, outcome)) continue;
        chunk.step_through(own_state, out);
        outcome.fell_back = true;
      }
    }
  });
  NewtonOutcome worst;
  for (Index block = 0; block < blocks; ++block) {
    worst.iterations = std::max(worst.iterations, outcomes[block].iterations);
    worst.residual = std::max(worst.residual, outcomes[block].residual);
    worst.fell_back = worst.fell_back || outcomes[block].fell_back;
  }
  clear_padding(x, y);
  return worst;
}

}  // namespace stepscan::inline STEPSCAN_ISA
