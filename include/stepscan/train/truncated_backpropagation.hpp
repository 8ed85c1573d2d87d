#pragma once

#include <stepscan/layers/layer.hpp>
#include <stepscan/train/losses.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Tokens [first, first + count) of targets.
template <class T>
[[nodiscard]] MatrixView<T> target_window(const MatrixView<T>& targets, Index first, Index count) noexcept {
  return targets.middle_cols(first, count);
}
template <class T>
[[nodiscard]] SequenceView<T> target_window(const SequenceView<T>& targets, Index first, Index count) noexcept {
  return targets.slice(first, count);
}

}  // namespace detail

/// Truncated back-propagation through time (Williams and Peng 1990; Mikolov et al. 2010): a long sequence is run
/// forward and backward window by window. The state is handed on from window to window, its gradient is not, so that
/// memory does not grow with the sequence. Keeps its buffers from call to call.
template <SequenceLayer Model>
class TruncatedBackpropagation {
  using S = typename Model::scalar_type;
  using State = typename Model::State;
  static_assert(Model::causal && Model::keeps_time,
                "stepscan: only a causal model that keeps the number of tokens runs window by window");

 public:
  /// Throws ArgumentError unless a window has at least one token.
  explicit TruncatedBackpropagation(Index window) : window_(window) {
    if (window < 1) {
      fail<ArgumentError>("TruncatedBackpropagation: expected windows of at least one token, found " +
                          std::to_string(window));
    }
  }

  /// Runs x [batch, time, inputs] from the state and into it. Adds the gradient of each window's mean loss to
  /// `gradient`, then calls after_window(loss of the window), which may take an optimiser's step on the model and clear
  /// the gradient. A window in which nothing counts runs forward alone and is not reported. Returns the loss of all.
  template <class Loss, class Targets, class AfterWindow>
  LossSum run(const Model& model, State& state, SequenceView<const S> x, const Targets& targets, const Loss& loss,
              Model& gradient, AfterWindow&& after_window) {
    LossSum total;
    for (Index first = 0; first < x.time; first += window_) {
      const Index count = std::min(window_, x.time - first);
      const SequenceView<const S> in = x.slice(first, count);
      SequenceView<S> y = room(y_, in, model.output_size());
      y.lengths = in.lengths;
      y.start = in.start;
      const SequenceView<S> dy = room(dy_, in, model.output_size());
      model.forward(state, in, y, tape_);
      const auto wanted = detail::target_window(targets, first, count);
      const Index counted = loss.count(y, wanted);
      if (counted == 0) continue;
      const LossSum part = loss.sum(y, wanted, dy, 1.0 / static_cast<double>(counted));
      const State cut = zeros_like(state);
      State dstart = cut;
      model.backward(tape_, dy, cut, gradient, room(dx_, in, model.input_size()), dstart);
      total += part;
      after_window(part);
    }
    return total;
  }

 private:
  using Buffer = Tensor<S, Dynamic, Dynamic, Dynamic>;

  static SequenceView<S> room(Buffer& buffer, const SequenceView<const S>& x, Index features) {
    resize(buffer, {x.batch, x.time, features});
    return buffer;
  }

  Index window_;
  Tape<Model> tape_;
  Buffer y_, dy_, dx_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
