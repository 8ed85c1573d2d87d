#pragma once

#include <stepscan/layers/dense_recurrence.hpp>
#include <stepscan/ops/gru.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where a GRU's reset gate acts: on the candidate's recurrent product (cuDNN, PyTorch; Keras' reset_after), or on the
/// state before that product (arXiv 1406.1078v3).
enum class Reset { after, before };

namespace detail {

template <Reset>
struct GruOrder {
  static constexpr const char* name = "Gru";
  static constexpr auto input = gates_in_order<1, 3>;
  static constexpr std::array<std::size_t, 3> recurrent{1, 2, 0};
};
template <>
struct GruOrder<Reset::before> {
  static constexpr const char* name = "Gru";
  static constexpr auto input = gates_in_order<0, 3>;
  static constexpr auto recurrent = gates_in_order<0, 3>;
};

template <Reset Where, class Activation>
using GruCellOf = std::conditional_t<Where == Reset::after, GruCell<Activation>, GruResetBeforeCell<Activation>>;

}  // namespace detail

/// Gated recurrent unit (Cho et al. 2014), parameters as torch.nn.GRU of one layer has them, blocks of rows r, z, n:
///   r, z = s(W x + b_ih + U h + b_hh)
///   n = phi(W_n x + b_in + r (U_n h + b_hn))      Reset::after
///   n = phi(W_n x + b_in + U_n (r h) + b_hn)      Reset::before
///   h' = (1 - z) n + z h,   y = h'
/// phi is tanh, or max(0, x) with ReluActivation. x [batch, time, Inputs], y [batch, time, Hidden]; state h [batch,
/// Hidden]. Forms: Recurrent, Chunked, Newton.
template <Scalar S, Index Inputs, Index Hidden, Reset Where = Reset::after, class Activation = TanhActivation,
          class Default = Chunked<>>
using Gru = DenseRecurrence<detail::GruCellOf<Where, Activation>, detail::GruOrder<Where>, S, Inputs, Hidden, Default>;

}  // namespace stepscan::inline STEPSCAN_ISA
