#pragma once

#include <stepscan/layers/stateless.hpp>
#include <stepscan/layers/step_bias.hpp>
#include <stepscan/ops/decay_gate.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Log decays of heads from their pre-activations: g = -exp(A_log) softplus(a + dt_bias), A_log and dt_bias [Heads].
template <Scalar S, Index Heads, class Math = Exact>
class LearnedDecay : public RowwiseLayer<LearnedDecay<S, Heads, Math>, S, Heads, Heads> {
 public:
  static constexpr const char* name = "LearnedDecay";

  Tensor<S, Heads> A_log;
  Tensor<S, Heads> dt_bias;

  static constexpr auto fields() {
    return std::tuple{Field{"A_log", &LearnedDecay::A_log}, Field{"dt_bias", &LearnedDecay::dt_bias}};
  }

  /// All parameters zero; the size is needed where it is Dynamic.
  LearnedDecay() = default;
  explicit LearnedDecay(Index heads) : A_log(heads), dt_bias(heads) {}

  /// exp(A_log) uniform in (0, 16], softplus(dt_bias) log-uniform in [0.001, 0.1], as the authors of Gated DeltaNet.
  void initialize(Random& random) {
    for (Index h = 0; h < A_log.size(); ++h) {
      A_log[h] = static_cast<S>(std::log(16 * (1 - random.uniform())));
      dt_bias[h] = static_cast<S>(detail::random_step_bias(random));
    }
  }

  [[nodiscard]] Index input_size() const noexcept { return A_log.size(); }
  [[nodiscard]] Index output_size() const noexcept { return A_log.size(); }
  [[nodiscard]] DecayGate<const S> gate() const noexcept { return {A_log.data(), dt_bias.data()}; }

  template <class Stored = S, class NewMath = void>
  [[nodiscard]] auto plan() const {
    LearnedDecay<S, Heads, std::conditional_t<std::is_void_v<NewMath>, Math, NewMath>> copy;
    copy.A_log = A_log;
    copy.dt_bias = dt_bias;
    return copy;
  }

 private:
  friend Layer<LearnedDecay, S, Heads, Heads>;

  void run_step(NoState&, MatrixView<const S, Dynamic, Heads> x, MatrixView<S, Dynamic, Heads> y) const noexcept {
    decay_gate<Math, S>(gate(), x, y);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
