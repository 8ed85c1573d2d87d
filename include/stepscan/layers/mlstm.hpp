#pragma once

#include <stepscan/layers/decay_layer.hpp>
#include <stepscan/layers/projection_start.hpp>
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

namespace detail {

/// As the xLSTM authors do: q, k and v by normal weights with deviation sqrt(2 / (5 inputs)), their biases zero; gates
/// by weights of zero, biases of the input gates normal with a deviation of 0.1, those of the forget gates from 3 for
/// the first head to 6 for the last. What projects outputs stays as it is: the authors' deviation depends on the number
/// of blocks in the model.
struct MlstmStart {
  template <class Scan, PlainProjection In, class Out>
  requires(requires(In& p) { p.bias[0]; }) void operator()(const Scan& scan, In& in_proj, Out&, Random& random) const {
    const Index heads = scan.heads(), first = scan.input_size() - 2 * heads;
    const double deviation = std::sqrt(2.0 / (5.0 * static_cast<double>(in_proj.input_size())));
    in_proj.weight.fill(0);
    in_proj.bias.fill(0);
    fill_normal(weight_rows(in_proj, 0, first), deviation, random);
    for (Index h = 0; h < heads; ++h) {
      using S = typename Scan::scalar_type;
      const double place = heads > 1 ? static_cast<double>(h) / static_cast<double>(heads - 1) : 0;
      in_proj.bias[first + h] = static_cast<S>(0.1 * random.normal());
      in_proj.bias[first + heads + h] = static_cast<S>(3 + 3 * place);
    }
  }
};

}  // namespace detail

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
  static constexpr detail::MlstmStart projection_start{};
  using Attention = DecayAttention<S, MlstmGates<S>, BoundedRead>;

  S eps = static_cast<S>(1e-6);

  MlstmScan() = default;
  MlstmScan(Index heads, Index key_dim, Index value_dim) : MlstmScan::DecayLayer(heads, key_dim, value_dim) {}

  [[nodiscard]] Attention attention(const SequenceView<const S>& x, const SequenceView<S>& dx = {}) const noexcept {
    const MlstmGates<S> gates{this->gates(x, 0), this->gates(x, 1), this->gates(dx, 0), this->gates(dx, 1)};
    return this->template on_parts<Attention>(x, gates, eps);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
