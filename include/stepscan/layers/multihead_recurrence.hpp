#pragma once

#include <cmath>
#include <stepscan/layers/dense_recurrence.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// bias [gates, heads, head_dim]: what the cell says of unit number `place` (from 0 to 1) of a head, or zero.
template <class Cell, class Bias>
void initialize_cell_bias(Bias& bias, double depth) {
  bias.fill({});
  if constexpr (requires { Cell::initial_bias(std::size_t{}, double{}, double{}); }) {
    using S = typename Bias::value_type;
    const Index units = bias.extent(2);
    for (Index i = 0; i < bias.size(); ++i) {
      const auto gate = static_cast<std::size_t>(i / (bias.extent(1) * units));
      const double place = units > 1 ? static_cast<double>(i % units) / static_cast<double>(units - 1) : 0;
      bias[i] = static_cast<S>(Cell::initial_bias(gate, place, depth));
    }
  }
}

}  // namespace detail

/// A gated recurrence in heads that mix only within themselves (FlashRNN, arXiv 2412.07752): U is block-diagonal.
///   weight_x  [input gates, heads, head_dim, inputs]
///   recurrent [recurrent gates, heads, head_dim, head_dim]
///   bias      [gates, heads, head_dim]
/// each in the order of the cell's gates. x [batch, time, inputs], y [batch, time, heads * head_dim].
/// Used by its names: MultiheadLstm, MultiheadGru, MultiheadElman, Slstm.
template <class Cell, class Named, Scalar S, Index Inputs, Index Heads, Index HeadDim, class Default = Chunked<>>
class MultiheadRecurrence
    : public GatedParameterLayer<MultiheadRecurrence<Cell, Named, S, Inputs, Heads, HeadDim, Default>, Cell, S, Inputs,
                                 Heads, HeadDim, Default> {
  static constexpr Index input_gates = static_cast<Index>(Cell::input_gates);
  static constexpr Index recurrent_gates = static_cast<Index>(Cell::recurrent_gates);
  static constexpr Index gates = static_cast<Index>(Cell::gates);
  static_assert(!Cell::late_candidate);

 public:
  static constexpr const char* name = Named::name;

  Tensor<S, input_gates, Heads, HeadDim, Inputs> weight_x;
  Tensor<S, recurrent_gates, Heads, HeadDim, HeadDim> recurrent;
  Tensor<S, gates, Heads, HeadDim> bias;

  static constexpr auto fields() {
    return std::tuple{Field{"weight_x", &MultiheadRecurrence::weight_x},
                      Field{"recurrent", &MultiheadRecurrence::recurrent}, Field{"bias", &MultiheadRecurrence::bias}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  MultiheadRecurrence() = default;
  MultiheadRecurrence(Index inputs, Index heads, Index head_dim)
      : weight_x(input_gates, heads, head_dim, inputs),
        recurrent(recurrent_gates, heads, head_dim, head_dim),
        bias(gates, heads, head_dim) {}

  /// As the xLSTM authors do: input weights normal with deviation sqrt(2 / (5 inputs)), recurrent weights zero, biases
  /// zero or those of the cell, which may depend on the depth of the layer in its stack, from 0 (first) to 1 (last).
  void initialize(Random& random, double depth = 0) {
    const double deviation = std::sqrt(2.0 / (5.0 * static_cast<double>(input_size())));
    for (S& value : weight_x) value = static_cast<S>(deviation * random.normal());
    recurrent.fill(S{0});
    detail::initialize_cell_bias<Cell>(bias, depth);
  }

  [[nodiscard]] Index input_size() const noexcept { return weight_x.extent(3); }
  [[nodiscard]] Index head_count() const noexcept { return recurrent.extent(1); }
  [[nodiscard]] Index head_dim() const noexcept { return recurrent.extent(2); }

  [[nodiscard]] GateParameters<S, Inputs, Heads, HeadDim> parameters() const noexcept { return views<const S>(*this); }
  [[nodiscard]] GateParameters<S, Inputs, Heads, HeadDim, S> mutable_parameters() noexcept { return views<S>(*this); }

 private:
  template <class Element, class Self>
  static GateParameters<S, Inputs, Heads, HeadDim, Element> views(Self& self) noexcept {
    const Index hidden = self.head_count() * self.head_dim();
    return {{self.weight_x.data(), input_gates * hidden, self.input_size()},
            detail::gates_in_order<Cell::gates - Cell::input_gates, Cell::input_gates>,
            {self.recurrent.data(), recurrent_gates * hidden, self.head_dim()},
            detail::gates_in_order<0, Cell::recurrent_gates>,
            {{{self.bias.data(), detail::gates_in_order<0, Cell::gates>}, {}}},
            self.head_count()};
  }
};

/// The same without input weights: x holds pre-activations [batch, time, input gates * heads * head_dim], to which the
/// layer adds its bias. For models that make all gates by one projection of their own.
template <class Cell, class Named, Scalar S, Index Heads, Index HeadDim, class Default = Chunked<>>
class PreactivatedRecurrence
    : public GatedParameterLayer<PreactivatedRecurrence<Cell, Named, S, Heads, HeadDim, Default>, Cell, S,
                                 static_product(static_cast<Index>(Cell::input_gates), static_product(Heads, HeadDim)),
                                 Heads, HeadDim, Default> {
  static constexpr Index input_gates = static_cast<Index>(Cell::input_gates);
  static constexpr Index recurrent_gates = static_cast<Index>(Cell::recurrent_gates);
  static constexpr Index gates = static_cast<Index>(Cell::gates);
  static constexpr Index Inputs = static_product(input_gates, static_product(Heads, HeadDim));
  static_assert(!Cell::late_candidate);

 public:
  static constexpr const char* name = Named::name;

  Tensor<S, recurrent_gates, Heads, HeadDim, HeadDim> recurrent;
  Tensor<S, gates, Heads, HeadDim> bias;

  static constexpr auto fields() {
    return std::tuple{Field{"recurrent", &PreactivatedRecurrence::recurrent},
                      Field{"bias", &PreactivatedRecurrence::bias}};
  }

  PreactivatedRecurrence() = default;
  PreactivatedRecurrence(Index heads, Index head_dim)
      : recurrent(recurrent_gates, heads, head_dim, head_dim), bias(gates, heads, head_dim) {}

  /// Recurrent weights and biases as MultiheadRecurrence.
  void initialize(Random&, double depth = 0) {
    recurrent.fill(S{0});
    detail::initialize_cell_bias<Cell>(bias, depth);
  }

  [[nodiscard]] Index input_size() const noexcept { return input_gates * head_count() * head_dim(); }
  [[nodiscard]] Index head_count() const noexcept { return recurrent.extent(1); }
  [[nodiscard]] Index head_dim() const noexcept { return recurrent.extent(2); }

  [[nodiscard]] GateParameters<S, Inputs, Heads, HeadDim> parameters() const noexcept { return views<const S>(*this); }
  [[nodiscard]] GateParameters<S, Inputs, Heads, HeadDim, S> mutable_parameters() noexcept { return views<S>(*this); }

 private:
  template <class Element, class Self>
  static GateParameters<S, Inputs, Heads, HeadDim, Element> views(Self& self) noexcept {
    return {{nullptr, 0, self.input_size()},
            detail::gates_in_order<Cell::gates - Cell::input_gates, Cell::input_gates>,
            {self.recurrent.data(), recurrent_gates * self.head_count() * self.head_dim(), self.head_dim()},
            detail::gates_in_order<0, Cell::recurrent_gates>,
            {{{self.bias.data(), detail::gates_in_order<0, Cell::gates>}, {}}},
            self.head_count()};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
