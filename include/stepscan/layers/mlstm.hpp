#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/ops/mlstm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// C [batch, heads, key_dim, value_dim] and n [batch, heads, key_dim], exp(-m) times the true ones, m [batch, heads],
/// and the scratch of one step.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim>
struct MlstmState {
  Tensor<S, Dynamic, Heads, KeyDim, ValueDim> matrix;
  Tensor<S, Dynamic, Heads, KeyDim> normaliser;
  Tensor<S, Dynamic, Heads> maximum;
  Scratch<S> scratch;
  static constexpr auto fields() {
    return std::tuple{Field{"C", &MlstmState::matrix}, Field{"n", &MlstmState::normaliser},
                      Field{"m", &MlstmState::maximum}};
  }

  MlstmState() = default;
  MlstmState(Index batch, const DecaySizes& sizes, Index scratch_size)
      : matrix(batch, sizes.heads, sizes.key_dim, sizes.value_dim),
        normaliser(batch, sizes.heads, sizes.key_dim),
        maximum(batch, sizes.heads),
        scratch(scratch_size) {}
  [[nodiscard]] DecayState<S> view() noexcept { return {matrix.data(), normaliser.data(), maximum.data()}; }
};

/// The matrix memory of xLSTM with an exponential input gate and a sigmoid forget gate (arXiv 2405.04517, equations 19
/// to 27), a linear attention whose state is kept in range by a running maximum (ops/mlstm.hpp):
///   C_t = a_t C_(t-1) + b_t k_t v_t^T,   n_t = a_t n_(t-1) + b_t k_t,   q' = scale q_t
///   y_t = q'^T C_t / (max(|q'.n_t|, exp(-m_t)) + eps)
/// x = [q | k | v | i | f], i and f [Heads] pre-activations; state C, n, m, all zero at first. Gradients are exact,
/// through the denominator and the maximum.
template <Scalar S, Index Heads, Index KeyDim, Index ValueDim, class Default = Chunked<>>
class MlstmScan : public DecayLayer<MlstmScan<S, Heads, KeyDim, ValueDim, Default>, S, Heads, KeyDim, ValueDim,
                                    detail::HeadGates::two, MlstmState<S, Heads, KeyDim, ValueDim>, Default> {
 public:
  static constexpr const char* name = "MlstmScan";
  using Attention = DecayAttention<S, MlstmGates<S>, BoundedRead>;

  S eps = static_cast<S>(1e-6);

  MlstmScan() = default;
  MlstmScan(Index heads, Index key_dim, Index value_dim) : MlstmScan::DecayLayer(heads, key_dim, value_dim) {}

  /// What projects the gates starts as the authors' does: weights zero, biases of the input gates normal with a
  /// deviation of 0.1, those of the forget gates from 3 for the first head to 6 for the last.
  template <class Projection>
  requires(requires(Projection& p) { p.weight(0, 0) = p.bias[0]; }) void initialize_gates(Projection& in_proj,
                                                                                          Random& random) const {
    const Index heads = this->heads(), first = this->input_size() - 2 * heads;
    std::fill_n(&in_proj.weight(first, 0), 2 * heads * in_proj.input_size(), S{0});
    for (Index h = 0; h < heads; ++h) {
      const double place = heads > 1 ? static_cast<double>(h) / static_cast<double>(heads - 1) : 0;
      in_proj.bias[first + h] = static_cast<S>(0.1 * random.normal());
      in_proj.bias[first + heads + h] = static_cast<S>(3 + 3 * place);
    }
  }

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    const MlstmGates<S> gates{this->gates(x, 0), this->gates(x, 1), this->gates(dx, 0), this->gates(dx, 1)};
    return this->template on_parts<Attention>(x, gates, eps);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
