#pragma once

#include <stepscan/core/workspace.hpp>
#include <stepscan/ops/glu.hpp>
#include <stepscan/ops/linear.hpp>

/// The feed-forward network with a gated linear unit (arXiv 2002.05202, equations 5 and 6): with the gate's, the
/// value's and the output's weights G, U [hidden, features] and D [features, hidden],
///   y = D (f(G x) * (U x))
namespace stepscan::inline STEPSCAN_ISA {

/// The weights as they lie in memory.
template <Scalar S>
struct GluMatrices {
  MatrixView<const S> gate;
  MatrixView<const S> up;
  MatrixView<const S> down;

  [[nodiscard]] Index hidden() const noexcept { return gate.rows; }

  void project(MatrixView<const S> x, MatrixView<S> rows) const noexcept {
    plain_linear<S>(gate, nullptr, x, rows.middle_cols(0, hidden()));
    plain_linear<S>(up, nullptr, x, rows.middle_cols(hidden(), hidden()));
  }
  void contract(MatrixView<const S> h, MatrixView<S> y) const noexcept { plain_linear<S>(down, nullptr, h, y); }
};

/// The weights packed, those of gate and value as one matrix.
template <Scalar S, Index Features = Dynamic, Index Hidden = Dynamic, class Stored = S>
struct GluPanels {
  PanelsView<S, static_product(2, Hidden), Features, Stored> gate_up;
  PanelsView<S, Features, Hidden, Stored> down;
  const S* zeros = nullptr;  ///< as many as the larger matrix has rows

  [[nodiscard]] Index hidden() const noexcept { return down.cols; }

  void project(MatrixView<const S> x, MatrixView<S> rows) const noexcept {
    gate_up.multiply(x, {zeros, Index{x.rows}, Index{gate_up.rows}, 0}, rows);
  }
  void contract(MatrixView<const S> h, MatrixView<S> y) const noexcept {
    down.multiply(h, {zeros, Index{h.rows}, Index{down.rows}, 0}, y);
  }
};

/// Rows of one token each; scratch for 2 hidden numbers a row.
template <class Function, class Math, Scalar S, class Weights>
void glu_feed_forward(const Weights& weights, MatrixView<const S> x, MatrixView<S> y, S* scratch) noexcept {
  const Index hidden = weights.hidden();
  const MatrixView<S> rows(scratch, Index{x.rows}, 2 * hidden);
  const MatrixView<S> gate = rows.middle_cols(0, hidden), up = rows.middle_cols(hidden, hidden);
  weights.project(x, rows);
  glu<Function, Math, S>(gate, up, gate);
  weights.contract(gate, y);
}

/// All real tokens, in blocks that are spread over threads. Memory does not grow with the sequence.
template <class Function, class Math, Scalar S, class Weights>
void glu_feed_forward_tokens(const Weights& weights, SequenceView<const S> x, SequenceView<S> y, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const Index tokens = std::min<Index>(64, x.time);
  const Index blocks = (x.time + tokens - 1) / tokens, count = x.batch * blocks;
  const bool shares = x.batch * x.time * x.features * weights.hidden() >= shared_product_size;
  const Index workers = shares ? std::min<Index>(max_threads(), count) : 1;
  const Index room = tokens * 2 * weights.hidden();
  S* scratch = workspace.take<S>(workers * room);
  parallel_for(workers, static_cast<int>(workers), [&](Index worker) {
    for (Index i = worker; i < count; i += workers) {
      const Index b = i / blocks, first = i % blocks * tokens;
      const Index real = std::min(tokens, x.length(b) - first);
      if (real <= 0) continue;
      glu_feed_forward<Function, Math, S>(weights, x.member(b).middle_rows(first, real),
                                          y.member(b).middle_rows(first, real), scratch + worker * room);
    }
  });
  clear_padding(x, y);
}

}  // namespace stepscan::inline STEPSCAN_ISA
