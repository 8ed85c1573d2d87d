#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/layers/stateless_backward.hpp>
#include <stepscan/layers/swiglu.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps a view of x alone and takes g = w_gate x and u = w_up x again, block by block. With h = f(g) u and
/// dh = w_down^T dy:
///   dg = f'(g) u dh,   du = f(g) dh,   dx = w_gate^T dg + w_up^T du
///   dw_down = sum_t dy h^T,   dw_gate = sum_t dg x^T,   dw_up = sum_t du x^T
template <Scalar S, Index Features, Index Hidden, class Function>
struct Training<GluFeedForward<S, Features, Hidden, Function>>
    : detail::InputTraining<GluFeedForward<S, Features, Hidden, Function>> {
  using L = GluFeedForward<S, Features, Hidden, Function>;
  using State = typename L::State;
  using Tape = typename detail::InputTraining<L>::Tape;

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State&, L& gradient,
                       SequenceView<S, Features> dx, State&) {
    constexpr Index block = 128;
    SequenceView<const S> x = tape.x;
    clear_padding(x, dx);
    for (Index b = 0; b < x.batch; ++b) {
      const Index tokens = x.length(b);
      for (Index first = 0; first < tokens; first += block) {
        const Index count = std::min(block, tokens - first);
        pull_back(layer, x.member(b).middle_rows(first, count), dy.member(b).middle_rows(first, count), gradient,
                  dx.member(b).middle_rows(first, count), tape.workspace);
      }
    }
  }

 private:
  static void pull_back(const L& layer, MatrixView<const S> x, MatrixView<const S> dy, L& gradient, MatrixView<S> dx,
                        Workspace& workspace) {
    const Workspace::Scope scope(workspace);
    const Index hidden = layer.hidden_size();
    const auto zeros = [&] {
      const MatrixView<S> rows(workspace.template take<S>(x.rows * hidden), Index{x.rows}, hidden);
      std::fill_n(rows.data, rows.rows * hidden, S{0});
      return rows;
    };
    const MatrixView<S> gate = zeros(), up = zeros(), h = zeros(), dh = zeros();
    gemm_add_right_transposed<S>(gate, x, layer.w_gate.weight);
    gemm_add_right_transposed<S>(up, x, layer.w_up.weight);
    glu<Function, Exact, S>(gate, up, h);
    gemm_add_left_transposed<S>(gradient.w_down.weight, dy, h);
    gemm_add<S>(dh, dy, layer.w_down.weight);
    glu_backward<Function, S>(gate, up, dh, gate, up);
    gemm_add_left_transposed<S>(gradient.w_gate.weight, gate, x);
    gemm_add_left_transposed<S>(gradient.w_up.weight, up, x);
    for (Index r = 0; r < dx.rows; ++r) std::fill_n(dx.row(r), Index{dx.cols}, S{0});
    gemm_add<S>(dx, gate, layer.w_gate.weight);
    gemm_add<S>(dx, up, layer.w_up.weight);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
