#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/layers/schedule.hpp>
#include <stepscan/ops/softmax_scan.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// m, u [batch, heads] and w [batch, heads, value_dim].
template <Scalar S, Index Heads, Index ValueDim>
struct SoftmaxScanState {
  Tensor<S, Dynamic, Heads> maximum;
  Tensor<S, Dynamic, Heads> sum;
  Tensor<S, Dynamic, Heads, ValueDim> weighted;
  static constexpr auto fields() {
    return std::tuple{Field{"m", &SoftmaxScanState::maximum}, Field{"u", &SoftmaxScanState::sum},
                      Field{"w", &SoftmaxScanState::weighted}};
  }

  SoftmaxScanState() = default;
  SoftmaxScanState(Index batch, Index heads, Index value_dim)
      : maximum(batch, heads), sum(batch, heads), weighted(batch, heads, value_dim) {}
  [[nodiscard]] SoftmaxState<S> view() noexcept { return {maximum.data(), sum.data(), weighted.data()}; }
};

/// Attention of a query that does not change, after every key ("Attention as an RNN", arXiv 2405.13956, section 3.2):
///   y_t = sum_(j <= t) exp(s_j) v_j / sum_(j <= t) exp(s_j)
/// of each head, in constant memory. x = [s | v], the logits s [Heads] and the values v [Heads * ValueDim]; y
/// [Heads * ValueDim]. State m, u [batch, Heads], w [batch, Heads, ValueDim] (scan/softmax.hpp), all zero at first. A
/// logit may have any size; minus infinity hides its key, and before the first key that is seen y is 0.
template <Scalar S, Index Heads, Index ValueDim, class Default = Chunked<>>
class SoftmaxScan : public Layer<SoftmaxScan<S, Heads, ValueDim, Default>, S,
                                 static_product(Heads, static_sum(ValueDim, 1)), static_product(Heads, ValueDim)> {
 public:
  static constexpr const char* name = "SoftmaxScan";
  static constexpr Index Inputs = static_product(Heads, static_sum(ValueDim, 1));
  static constexpr Index Outputs = static_product(Heads, ValueDim);
  using State = SoftmaxScanState<S, Heads, ValueDim>;
  using DefaultForm = Default;
  using Forms = std::tuple<Recurrent, Chunked<>, Parallel<>>;

  static constexpr auto fields() { return std::tuple<>{}; }
  void initialize(Random&) noexcept {}

  SoftmaxScan() : SoftmaxScan(std::max<Index>(Heads, 0), std::max<Index>(ValueDim, 0)) {}
  /// Throws ShapeError when a size differs from a static one.
  SoftmaxScan(Index heads, Index value_dim) : heads_(heads), value_dim_(value_dim) {}

  [[nodiscard]] Index heads() const noexcept { return heads_; }
  [[nodiscard]] Index value_dim() const noexcept { return value_dim_; }
  [[nodiscard]] Index input_size() const noexcept { return heads_ * (1 + value_dim_); }
  [[nodiscard]] Index output_size() const noexcept { return heads_ * value_dim_; }

  /// All zero: no key.
  [[nodiscard]] State initial_state(Index batch) const { return State(batch, heads_, value_dim_); }

  /// The parts of x, or of its cotangent.
  template <class T>
  [[nodiscard]] SequenceView<T> logits(const SequenceView<T>& x) const noexcept {
    return x.middle_features(0, Extent<Dynamic>(heads_));
  }
  template <class T>
  [[nodiscard]] SequenceView<T> values(const SequenceView<T>& x) const noexcept {
    return x.middle_features(heads_, Extent<Dynamic>(heads_ * value_dim_));
  }
  [[nodiscard]] SoftmaxScanInputs<S> inputs(const SequenceView<const S>& x) const noexcept {
    return {heads_, value_dim_, logits(x), values(x)};
  }

 private:
  friend Layer<SoftmaxScan, S, Inputs, Outputs>;

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    softmax_scan_step<S>(inputs(one_token(x)), state.view(), one_token(y));
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    softmax_scan<S>(inputs(x), state.view(), y, {}, detail::schedule_of(form), workspace);
  }

  [[no_unique_address]] Extent<Heads> heads_;
  [[no_unique_address]] Extent<ValueDim> value_dim_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
