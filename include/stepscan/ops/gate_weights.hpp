#pragma once

#include <array>
#include <span>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/kernels/panels.hpp>

/// The weights of a gated recurrence, in the two ways in which it can multiply with them: as a layer's parameters lie
/// in memory (GateParameters), or packed for speed (PackedGates).
///
/// A recurrence works on one row of pre-activations per token, [gates, hidden], hidden = heads * head_dim. The cell
/// fixes the order: the last `input_gates` of them are fed by the input weights, the first `recurrent_gates` by the
/// recurrent weights, and the last one late if `late_candidate`.
namespace stepscan::inline STEPSCAN_ISA {

/// For each block of rows of a parameter, the gate of the cell that it feeds.
using GateOrder = std::span<const std::size_t>;

/// Views of a layer's parameters; of its gradient's with an Element that is not const.
template <Scalar S, Index Inputs = Dynamic, Index Heads = 1, Index HeadDim = Dynamic, class Element = const S>
struct GateParameters {
  struct Bias {
    Element* values = nullptr;  ///< [gates in order, hidden]; null: none
    GateOrder order;
  };

  MatrixView<Element, Dynamic, Inputs> input;  ///< [gates in order * hidden, inputs]; no data: x is pre-activations
  GateOrder input_order;
  MatrixView<Element, Dynamic, HeadDim> recurrent;  ///< [gates in order * heads * head_dim, head_dim]
  GateOrder recurrent_order;
  std::array<Bias, 2> biases;
  [[no_unique_address]] Extent<Heads> heads;

  [[nodiscard]] constexpr auto head_dim() const noexcept { return recurrent.cols; }
  [[nodiscard]] constexpr Extent<static_product(Heads, HeadDim)> hidden() const noexcept {
    return heads * recurrent.cols;
  }

  /// The same with sizes known at run time.
  [[nodiscard]] constexpr GateParameters<S, Dynamic, Dynamic, Dynamic, Element> dynamic() const noexcept {
    return {input,
            input_order,
            recurrent,
            recurrent_order,
            {{{biases[0].values, biases[0].order}, {biases[1].values, biases[1].order}}},
            Index{heads}};
  }

  /// The sum of the biases, [gates, hidden].
  void merge_biases(S* merged, std::size_t gates) const noexcept {
    const Index width = hidden();
    std::fill_n(merged, static_cast<Index>(gates) * width, S{0});
    for (const Bias& bias : biases) {
      if (bias.values == nullptr) continue;
      for (std::size_t g = 0; g < bias.order.size(); ++g) {
        S* to = merged + static_cast<Index>(bias.order[g]) * width;
        const S* from = bias.values + static_cast<Index>(g) * width;
        for (Index u = 0; u < width; ++u) to[u] += from[u];
      }
    }
  }
};

/// Whether one row at a time is worth a packing of its own (ops/gated_row.hpp): a single head whose recurrent weights
/// lie beyond the first cache level. In it, activations cost more in their turn than together.
template <class Cell, class Stored>
[[nodiscard]] constexpr bool row_pays(Index heads, Index head_dim) noexcept {
  const Index bytes = static_cast<Index>(Cell::recurrent_gates * sizeof(Stored)) * head_dim * head_dim;
  return heads == 1 && !Cell::late_candidate && (head_dim == Dynamic || bytes > target_machine.l1_bytes);
}

/// Multiplies with the parameters as they lie.
template <class Cell, Scalar S, Index Inputs, Index Heads, Index HeadDim>
class PlainGates {
 public:
  explicit PlainGates(const GateParameters<S, Inputs, Heads, HeadDim>& parameters) noexcept : p_(parameters) {}

  [[nodiscard]] constexpr auto hidden() const noexcept { return p_.hidden(); }

  /// gates[r] = b + W x[r]
  void project(MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> gates) const noexcept {
    for (Index r = 0; r < x.rows; ++r) p_.merge_biases(gates.row(r), Cell::gates);
    for (std::size_t g = 0; g < p_.input_order.size(); ++g) {
      const auto out = block(gates, p_.input_order[g]);
      if (p_.input.data == nullptr) {
        for (Index r = 0; r < x.rows; ++r) {
          for (Index u = 0; u < hidden(); ++u) out(r, u) += x(r, static_cast<Index>(g) * hidden() + u);
        }
      } else {
        plain_multiply_add<S>(p_.input.middle_rows(static_cast<Index>(g) * hidden(), hidden()), x, out);
      }
    }
  }

  /// gates[r] += U h[r] for the gates that need no other first
  void recur(MatrixView<const S> h, MatrixView<S> gates, bool = false) const noexcept {
    for (std::size_t g = 0; g < p_.recurrent_order.size(); ++g) {
      if (p_.recurrent_order[g] < Cell::recurrent_gates) recur_gate(g, h, gates);
    }
  }

  /// gates[r] += U_n q[r] for the candidate
  void recur_late(MatrixView<const S> q, MatrixView<S> gates) const noexcept {
    for (std::size_t g = 0; g < p_.recurrent_order.size(); ++g) {
      if (p_.recurrent_order[g] >= Cell::recurrent_gates) recur_gate(g, q, gates);
    }
  }

 private:
  [[nodiscard]] MatrixView<S> block(MatrixView<S> gates, std::size_t gate) const noexcept {
    return gates.middle_cols(static_cast<Index>(gate) * hidden(), hidden());
  }

  void recur_gate(std::size_t g, MatrixView<const S> h, MatrixView<S> gates) const noexcept {
    const Index dim = p_.head_dim();
    for (Index head = 0; head < p_.heads; ++head) {
      const auto weights = p_.recurrent.middle_rows(static_cast<Index>(g) * hidden() + head * dim, dim);
      plain_multiply_add<S>(weights, h.middle_cols(head * dim, dim),
                            block(gates, p_.recurrent_order[g]).middle_cols(head * dim, dim));
    }
  }

  const GateParameters<S, Inputs, Heads, HeadDim>& p_;
};

/// Multiplies with weights that were packed into panels; a view of memory that somebody else owns. One head feeds all
/// its gates by one product; several heads have one product per gate and head.
template <class Cell, Scalar S, Index Inputs, Index Heads, Index HeadDim, class Stored = S>
class PackedGates {
  static constexpr Index Hidden = static_product(Heads, HeadDim);
  static constexpr Index input_gates = static_cast<Index>(Cell::input_gates);
  static constexpr Index recurrent_gates = static_cast<Index>(Cell::recurrent_gates);
  static constexpr Index first_input = static_cast<Index>(Cell::gates) - input_gates;
  static constexpr Index gates_per_block = Heads == 1 ? recurrent_gates : 1;

 public:
  using Parameters = GateParameters<S, Inputs, Heads, HeadDim>;
  using StoredType = Stored;
  static constexpr Index static_hidden = Hidden;

  /// Numbers of weights and of biases that pack() writes.
  [[nodiscard]] static Index weight_count(const Parameters& p) noexcept {
    return input_count(p.input.data != nullptr, p.hidden(), p.input.cols) + recurrent_count(p.heads, p.head_dim());
  }
  [[nodiscard]] static Index bias_count(const Parameters& p) noexcept {
    return static_cast<Index>(Cell::gates) * p.hidden();
  }

  /// Packs the parameters into the caller's memory.
  static void pack(const Parameters& p, Stored* weights, S* bias) {
    std::fill_n(weights, weight_count(p), Stored{});
    p.merge_biases(bias, Cell::gates);
    const Index hidden = p.hidden(), dim = p.head_dim();
    if (p.input.data != nullptr) {
      for (std::size_t g = 0; g < p.input_order.size(); ++g) {
        const auto source = p.input.middle_rows(static_cast<Index>(g) * hidden, hidden);
        pack_rows<S>(weights, p.input.cols, MatrixView<const S>(source),
                     (static_cast<Index>(p.input_order[g]) - first_input) * hidden);
      }
      weights += input_count(true, hidden, p.input.cols);
    }
    for (std::size_t g = 0; g < p.recurrent_order.size(); ++g) {
      for (Index head = 0; head < p.heads; ++head) {
        const auto source = p.recurrent.middle_rows(static_cast<Index>(g) * hidden + head * dim, dim);
        const Index gate = static_cast<Index>(p.recurrent_order[g]);
        const bool joined = gates_per_block > 1 && gate < recurrent_gates;
        Stored* block = weights + (joined ? 0 : block_offset(gate, head, p.heads, dim));
        pack_rows<S>(block, dim, MatrixView<const S>(source), joined ? gate * dim : 0);
      }
    }
  }

  /// The view of what pack() wrote.
  PackedGates(const Parameters& p, const Stored* weights, const S* bias) noexcept
      : PackedGates(p.input.data != nullptr, p.input.cols, p.heads, p.head_dim(), weights, bias) {}
  PackedGates(bool projects, Extent<Inputs> inputs, Extent<Heads> heads, Extent<HeadDim> head_dim,
              const Stored* weights, const S* bias, const Stored* row_weights = nullptr) noexcept
      : weights_(weights),
        bias_(bias),
        row_weights_(row_weights),
        projects_(projects),
        inputs_(inputs),
        heads_(heads),
        dim_(head_dim) {}

  /// The recurrent weights as GatedRow packs them, for one row at a time; null where nobody has packed them.
  [[nodiscard]] const Stored* row_weights() const noexcept requires(row_pays<Cell, Stored>(Heads, HeadDim)) {
    return row_weights_;
  }

  [[nodiscard]] constexpr Extent<Hidden> hidden() const noexcept { return heads_ * dim_; }

  /// gates[r] = b + W x[r]
  void project(MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> gates) const noexcept {
    const Index fed = first_input * hidden();
    for (Index r = 0; r < x.rows; ++r) std::copy_n(bias_, fed, gates.row(r));
    if (projects_) {
      const MatrixView<const S> bias(bias_ + fed, Index{x.rows}, input_gates * hidden(), 0);
      const PanelsView<S, static_product(input_gates, Hidden), Inputs, Stored> panels{weights_, input_gates * hidden(),
                                                                                      inputs_};
      panels.multiply(x, bias, gates.middle_cols(fed, input_gates * hidden()));
    } else {
      for (Index r = 0; r < x.rows; ++r) {
        for (Index u = 0; u < input_gates * hidden(); ++u) gates(r, fed + u) = bias_[fed + u] + x(r, u);
      }
    }
  }

  /// gates[r] += U h[r] for the gates that need no other first; `backwards` as in PanelsView::multiply
  void recur(MatrixView<const S> h, MatrixView<S> gates, bool backwards = false) const noexcept {
    if constexpr (Heads == 1) {
      const PanelsView<S, static_product(recurrent_gates, HeadDim), HeadDim, Stored> panels{
          recurrent_weights(), recurrent_gates * dim_, dim_};
      panels.multiply_add(h, gates.middle_cols(0, recurrent_gates * dim_), backwards);
    } else {
      for (Index gate = 0; gate < recurrent_gates; ++gate) recur_gate(gate, h, gates);
    }
  }

  /// gates[r] += U_n q[r] for the candidate
  void recur_late(MatrixView<const S> q, MatrixView<S> gates) const noexcept { recur_gate(recurrent_gates, q, gates); }

  /// The diagonals of U, [gates that U feeds, hidden], the late one last; one head.
  void recurrent_diagonals(S* diagonals) const noexcept requires(Heads == 1) {
    const Index dim = dim_;
    for (Index gate = 0; gate < recurrent_gates; ++gate) {
      const PanelsView<S, Dynamic, Dynamic, Stored> panels{recurrent_weights(), recurrent_gates * dim, dim};
      for (Index u = 0; u < dim; ++u) *diagonals++ = panels.at(gate * dim + u, u);
    }
    if constexpr (Cell::late_candidate) {
      const PanelsView<S, Dynamic, Dynamic, Stored> panels{
          recurrent_weights() + block_offset(recurrent_gates, 0, 1, dim), dim, dim};
      for (Index u = 0; u < dim; ++u) *diagonals++ = panels.at(u, u);
    }
  }

  /// `project` for units [first, first + count) of every gate alone; whole panels.
  void project_units(MatrixView<const S, Dynamic, Inputs> x, MatrixView<S> gates, Index first,
                     Index count) const noexcept {
    for (Index gate = 0; gate < static_cast<Index>(Cell::gates); ++gate) {
      const Index unit = gate * hidden() + first;
      const auto out = gates.middle_cols(unit, count);
      const MatrixView<const S> bias(bias_ + unit, Index{x.rows}, count, 0);
      if (gate < first_input) {
        for (Index r = 0; r < x.rows; ++r) std::copy_n(bias_ + unit, count, out.row(r));
      } else {
        part(weights_, (gate - first_input) * hidden() + first, count, inputs_).multiply(x, bias, out);
      }
    }
  }

  /// `recur` for units [first, first + count) of every gate alone; whole panels.
  void recur_units(MatrixView<const S> h, MatrixView<S> gates, Index first, Index count) const noexcept {
    for (Index gate = 0; gate < recurrent_gates; ++gate) {
      const Index unit = gate * hidden() + first;
      part(recurrent_weights(), unit, count, dim_).multiply_add(h, gates.middle_cols(unit, count));
    }
  }

  [[nodiscard]] bool projects() const noexcept { return projects_; }

 private:
  static constexpr Index input_count(bool projects, Index hidden, Index inputs) noexcept {
    return projects ? packed_size<S>(input_gates * hidden, inputs) : 0;
  }
  static constexpr Index recurrent_count(Index heads, Index dim) noexcept {
    return block_offset(recurrent_gates + (Cell::late_candidate ? 1 : 0), 0, heads, dim);
  }
  /// Where the product of one gate and head begins, behind the joined one of a single head.
  static constexpr Index block_offset(Index gate, Index head, Index heads, Index dim) noexcept {
    const Index joined = Heads == 1 ? packed_size<S>(recurrent_gates * dim, dim) : 0;
    const Index before = Heads == 1 ? gate - recurrent_gates : gate * heads + head;
    return joined + before * packed_size<S>(dim, dim);
  }

  /// Rows [first, first + count) of packed weights; whole panels.
  static PanelsView<S, Dynamic, Dynamic, Stored> part(const Stored* panels, Index first, Index count,
                                                      Index cols) noexcept {
    return {panels + first * cols, count, cols};
  }

  [[nodiscard]] const Stored* recurrent_weights() const noexcept {
    return weights_ + input_count(projects_, hidden(), inputs_);
  }

  void recur_gate(Index gate, MatrixView<const S> h, MatrixView<S> gates) const noexcept {
    for (Index head = 0; head < heads_; ++head) {
      const PanelsView<S, HeadDim, HeadDim, Stored> panels{recurrent_weights() + block_offset(gate, head, heads_, dim_),
                                                           dim_, dim_};
      panels.multiply_add(h.middle_cols(head * dim_, dim_), gates.middle_cols(gate * hidden() + head * dim_, dim_));
    }
  }

  const Stored* weights_;
  const S* bias_;
  const Stored* row_weights_ = nullptr;
  bool projects_;
  [[no_unique_address]] Extent<Inputs> inputs_;
  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<HeadDim> dim_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
