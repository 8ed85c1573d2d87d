#pragma once

#include <stepscan/layers/gated_layer.hpp>
#include <stepscan/layers/initialize.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The blocks 0, 1, ..., N - 1 of a parameter in the cell's own order, beginning with gate `First`.
template <std::size_t First, std::size_t N>
inline constexpr auto gates_in_order = [] {
  std::array<std::size_t, N> order{};
  for (std::size_t g = 0; g < N; ++g) order[g] = First + g;
  return order;
}();

}  // namespace detail

/// A gated recurrence with PyTorch's parameters and full matrices (torch.nn.LSTM, GRU, RNN of one layer and direction):
///   weight_ih [gates * hidden, inputs], weight_hh [gates * hidden, hidden], bias_ih and bias_hh [gates * hidden]
/// Order maps the blocks of weight_ih and weight_hh to the cell's gates. Used by its names: Lstm, Gru, ElmanRnn.
template <class Cell, class Order, Scalar S, Index Inputs, Index Hidden, class Default = Chunked<>>
class DenseRecurrence : public GatedParameterLayer<DenseRecurrence<Cell, Order, S, Inputs, Hidden, Default>, Cell, S,
                                                   Inputs, 1, Hidden, Default> {
  static constexpr Index blocks = static_cast<Index>(Order::input.size());
  static constexpr Index Rows = static_product(blocks, Hidden);

 public:
  static constexpr const char* name = Order::name;

  Tensor<S, Rows, Inputs> weight_ih;
  Tensor<S, Rows, Hidden> weight_hh;
  Tensor<S, Rows> bias_ih;
  Tensor<S, Rows> bias_hh;

  static constexpr auto fields() {
    return std::tuple{Field{"weight_ih", &DenseRecurrence::weight_ih}, Field{"weight_hh", &DenseRecurrence::weight_hh},
                      Field{"bias_ih", &DenseRecurrence::bias_ih}, Field{"bias_hh", &DenseRecurrence::bias_hh}};
  }

  /// All parameters zero; sizes are needed where they are Dynamic.
  DenseRecurrence() = default;
  DenseRecurrence(Index inputs, Index hidden)
      : weight_ih(blocks * hidden, inputs),
        weight_hh(blocks * hidden, hidden),
        bias_ih(blocks * hidden),
        bias_hh(blocks * hidden) {}

  /// Uniform in +-1 / sqrt(hidden), as PyTorch does.
  void initialize(Random& random) { detail::fill_uniform(*this, head_dim(), random); }

  [[nodiscard]] Index input_size() const noexcept { return weight_ih.extent(1); }
  [[nodiscard]] static constexpr Index head_count() noexcept { return 1; }
  [[nodiscard]] Index head_dim() const noexcept { return weight_hh.extent(1); }

  [[nodiscard]] GateParameters<S, Inputs, 1, Hidden> parameters() const noexcept { return views<const S>(*this); }
  [[nodiscard]] GateParameters<S, Inputs, 1, Hidden, S> mutable_parameters() noexcept { return views<S>(*this); }

 private:
  template <class Element, class Self>
  static GateParameters<S, Inputs, 1, Hidden, Element> views(Self& self) noexcept {
    return {{self.weight_ih.data(), self.weight_ih.extent(0), self.input_size()},
            Order::input,
            {self.weight_hh.data(), self.weight_hh.extent(0), self.head_dim()},
            Order::recurrent,
            {{{self.bias_ih.data(), Order::input}, {self.bias_hh.data(), Order::recurrent}}},
            {}};
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
