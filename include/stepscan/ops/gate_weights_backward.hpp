#pragma once

#include <algorithm>
#include <array>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/kernels/gemm.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/ops/gate_weights.hpp>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// The way back through the weights of a gated recurrence: multiplies cotangents of pre-activations with W^T and U^T,
/// packed into a workspace once per backward pass.
template <class Cell, Scalar S>
class TransposedGates {
  static constexpr Index recurrent_gates = static_cast<Index>(Cell::recurrent_gates);
  static constexpr Index input_gates = static_cast<Index>(Cell::input_gates);
  static constexpr Index first_input = static_cast<Index>(Cell::gates) - input_gates;

 public:
  using Parameters = GateParameters<S, Dynamic, Dynamic, Dynamic>;

  TransposedGates(const Parameters& p, Workspace& workspace)
      : p_(p),
        recurrent_(take(workspace, p.heads == 1 ? packed_size<S>(p.head_dim(), recurrent_gates * p.head_dim())
                                                : recurrent_gates * p.heads * head_size())),
        late_(take(workspace, Cell::late_candidate ? head_size() : 0)),
        input_(take(workspace, p.input.data == nullptr ? 0 : packed_size<S>(p.input.cols, input_gates * p.hidden()))),
        zeros_(take(workspace, std::max<Index>(p.input.cols, p.hidden()))) {
    for (std::size_t g = 0; g < p.recurrent_order.size(); ++g)
      pack_recurrent(g, static_cast<Index>(p.recurrent_order[g]));
    if (p.input.data == nullptr) return;
    const Index hidden = p.hidden();
    for (std::size_t g = 0; g < p.input_order.size(); ++g) {
      pack_transposed<S>(input_, input_gates * hidden, MatrixView<const S>(block(p.input, g, hidden)), 0,
                         (static_cast<Index>(p.input_order[g]) - first_input) * hidden);
    }
  }

  /// dh[r] += U^T da[r], without the late gate; `backwards` as in PanelsView::multiply
  void recur(MatrixView<const S> da, MatrixView<S> dh, bool backwards) const noexcept {
    const Index dim = p_.head_dim(), hidden = p_.hidden();
    if (p_.heads == 1) {
      const PanelsView<S> panels{recurrent_, dim, recurrent_gates * dim};
      panels.multiply_add(da.middle_cols(0, recurrent_gates * dim), dh, backwards);
      return;
    }
    for (Index gate = 0; gate < recurrent_gates; ++gate) {
      for (Index head = 0; head < p_.heads; ++head) {
        const PanelsView<S> panels{recurrent_ + (gate * p_.heads + head) * head_size(), dim, dim};
        panels.multiply_add(da.middle_cols(gate * hidden + head * dim, dim), dh.middle_cols(head * dim, dim));
      }
    }
  }

  /// dq[r] = U_n^T da_n[r], of the late gate alone
  void recur_late(MatrixView<const S> da, MatrixView<S> dq) const noexcept {
    const Index dim = p_.head_dim();
    const PanelsView<S> panels{late_, dim, dim};
    panels.multiply(da.middle_cols(recurrent_gates * dim, dim), {zeros_, Index{da.rows}, dim, 0}, dq);
  }

  /// dx[r] = W^T da[r], or da[r] itself where x is pre-activations
  void project(MatrixView<const S> da, MatrixView<S> dx) const noexcept {
    const Index hidden = p_.hidden();
    if (p_.input.data != nullptr) {
      const PanelsView<S> panels{input_, Index{p_.input.cols}, input_gates * hidden};
      panels.multiply(da.middle_cols(first_input * hidden, input_gates * hidden),
                      {zeros_, Index{da.rows}, p_.input.cols, 0}, dx);
      return;
    }
    for (Index r = 0; r < da.rows; ++r) {
      for (std::size_t g = 0; g < p_.input_order.size(); ++g) {
        std::copy_n(da.row(r) + static_cast<Index>(p_.input_order[g]) * hidden, hidden,
                    dx.row(r) + static_cast<Index>(g) * hidden);
      }
    }
  }

 private:
  /// Rows that no pack writes must be zero, and so must the biases.
  static S* take(Workspace& workspace, Index count) {
    S* memory = workspace.take<S>(count);
    std::fill_n(memory, count, S{0});
    return memory;
  }

  template <class View>
  static View block(const View& parameter, std::size_t g, Index rows) noexcept {
    return parameter.middle_rows(static_cast<Index>(g) * rows, rows);
  }

  [[nodiscard]] Index head_size() const noexcept { return packed_size<S>(p_.head_dim(), p_.head_dim()); }

  void pack_recurrent(std::size_t g, Index gate) {
    const Index dim = p_.head_dim();
    const MatrixView<const S> source = block(p_.recurrent, g, p_.hidden());
    if (gate >= recurrent_gates) {
      pack_transposed<S>(late_, dim, source, 0);
    } else if (p_.heads == 1) {
      pack_transposed<S>(recurrent_, recurrent_gates * dim, source, 0, gate * dim);
    } else {
      for (Index head = 0; head < p_.heads; ++head) {
        pack_transposed<S>(recurrent_ + (gate * p_.heads + head) * head_size(), dim,
                           MatrixView<const S>(source.middle_rows(head * dim, dim)), 0);
      }
    }
  }

  Parameters p_;
  S* recurrent_;  ///< one head: [dim, gates * dim]; several: [gates, heads] products of [dim, dim]
  S* late_;       ///< [dim, dim]
  S* input_;      ///< [inputs, input gates * hidden]
  S* zeros_;
};

/// What a run of tokens adds to the gradient of the weights: rows of cotangents of the pre-activations, and of what the
/// weights multiplied. Rows of padding are zero in da and finite in the others.
template <Scalar S>
struct GateCotangents {
  MatrixView<const S> da;    ///< [rows, gates * hidden]
  MatrixView<const S> x;     ///< [rows, inputs]
  MatrixView<const S> h;     ///< [rows, hidden], before the token
  MatrixView<const S> late;  ///< [rows, hidden], what the late gate's weights multiplied
};

namespace detail {

/// c += a^T b
template <Scalar S>
struct WeightProduct {
  MatrixView<S> c;
  MatrixView<const S> a, b;
};

/// Rows of a product that one thread takes: all of them where it is alone. How they are split changes no bit.
[[nodiscard]] inline Index weight_product_rows(Index rows) noexcept {
  constexpr Index shared = 256;
  return max_threads() == 1 ? rows : std::min(shared, rows);
}

template <Scalar S>
void append_product(std::vector<WeightProduct<S>>& products, MatrixView<S> c, MatrixView<const S> a,
                    MatrixView<const S> b) {
  const Index most = weight_product_rows(c.rows);
  for (Index first = 0; first < c.rows; first += most) {
    const Index rows = std::min(most, c.rows - first);
    products.push_back({c.middle_rows(first, rows), a.middle_cols(first, rows), b});
  }
}

/// How many blocks of the parameter, from block g on, feed neighbouring gates below `end` and so make one product.
inline std::size_t joined_blocks(GateOrder order, std::size_t g, std::size_t end) noexcept {
  std::size_t count = 1;
  while (g + count < order.size() && order[g + count] == order[g] + count && order[g + count] < end) ++count;
  return count;
}

}  // namespace detail

/// dW += da^T x, dU += da^T h (da^T q for the late gate), and bias_sums [gates * hidden] += the sum of the rows of da.
template <class Cell, Scalar S>
void add_weight_gradients(const GateCotangents<S>& rows,
                          const GateParameters<S, Dynamic, Dynamic, Dynamic, S>& gradient, S* bias_sums) {
  const Index hidden = gradient.hidden(), dim = gradient.head_dim();
  std::vector<detail::WeightProduct<S>> products;
  if (gradient.input.data != nullptr) {
    for (std::size_t g = 0, count = 0; g < gradient.input_order.size(); g += count) {
      count = detail::joined_blocks(gradient.input_order, g, Cell::gates);
      const Index size = static_cast<Index>(count) * hidden;
      detail::append_product<S>(products, gradient.input.middle_rows(static_cast<Index>(g) * hidden, size),
                                rows.da.middle_cols(static_cast<Index>(gradient.input_order[g]) * hidden, size),
                                rows.x);
    }
  }
  for (std::size_t g = 0, count = 0; g < gradient.recurrent_order.size(); g += count) {
    const bool late = gradient.recurrent_order[g] >= Cell::recurrent_gates;
    count =
        gradient.heads == 1 && !late ? detail::joined_blocks(gradient.recurrent_order, g, Cell::recurrent_gates) : 1;
    const Index size = static_cast<Index>(count) * dim;
    for (Index head = 0; head < gradient.heads; ++head) {
      detail::append_product<S>(
          products, gradient.recurrent.middle_rows(static_cast<Index>(g) * hidden + head * dim, size),
          rows.da.middle_cols(static_cast<Index>(gradient.recurrent_order[g]) * hidden + head * dim, size),
          (late ? rows.late : rows.h).middle_cols(head * dim, dim));
    }
  }
  const Index count = static_cast<Index>(products.size());
  parallel_for(count + 1, [&](Index i) {
    if (i < count) {
      const auto& product = products[static_cast<std::size_t>(i)];
      gemm_add_left_transposed<S>(product.c, product.a, product.b);
      return;
    }
    for (Index r = 0; r < rows.da.rows; ++r) {
      for_each_lanes<S>(rows.da.cols, [&](Index u, auto lanes) {
        lanes.store(bias_sums + u, lanes.load(bias_sums + u) + lanes.load(rows.da.row(r) + u));
      });
    }
  });
}

/// Adds the sums of cotangents [gates * hidden] to the gradient of every bias that fed those gates.
template <Scalar S>
void add_bias_gradients(const S* sums, const GateParameters<S, Dynamic, Dynamic, Dynamic, S>& gradient) noexcept {
  const Index hidden = gradient.hidden();
  for (const auto& bias : gradient.biases) {
    if (bias.values == nullptr) continue;
    for (std::size_t g = 0; g < bias.order.size(); ++g) {
      const S* from = sums + static_cast<Index>(bias.order[g]) * hidden;
      S* to = bias.values + static_cast<Index>(g) * hidden;
      for (Index u = 0; u < hidden; ++u) to[u] += from[u];
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
