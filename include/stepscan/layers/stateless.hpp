#pragma once

#include <stepscan/layers/layer.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What layers share that treat every token by itself: no state, and any form will do.
template <class Self, Scalar S, Index Inputs, Index Outputs>
class StatelessLayer : public Layer<Self, S, Inputs, Outputs> {
 public:
  using State = NoState;
  using Forms = std::tuple<Recurrent>;
  using DefaultForm = Recurrent;
  static constexpr bool any_form = true;
  static constexpr bool time_invariant = true;
  static constexpr Index receptive_field = 1;

  [[nodiscard]] static constexpr NoState initial_state(Index) noexcept { return {}; }

 protected:
  StatelessLayer() = default;
};

/// Those of them that treat any number of rows in one call: a scan is a step over each member's real tokens.
template <class Self, Scalar S, Index Inputs, Index Outputs>
class RowwiseLayer : public StatelessLayer<Self, S, Inputs, Outputs> {
 protected:
  RowwiseLayer() = default;

 private:
  friend Layer<Self, S, Inputs, Outputs>;

  template <class Form>
  void run_scan(const Form&, NoState& none, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace&) const noexcept {
    for (Index b = 0; b < x.batch; ++b) {
      this->step(none, x.member(b).middle_rows(0, x.length(b)), y.member(b).middle_rows(0, x.length(b)));
    }
    clear_padding(x, y);
  }
};

namespace detail {

/// Two sequences as one member each, where their members follow each other at the distance of tokens (or hold one
/// token each) and none is padded: products over many short members then become one.
template <class X, class Y, Index I, Index O>
void join_members(SequenceView<X, I>& x, SequenceView<Y, O>& y) noexcept {
  const auto joins = [](const auto& view) {
    return !view.is_ragged() && (view.time == 1 || view.batch_stride == view.time * view.time_stride);
  };
  if (!joins(x) || !joins(y)) return;
  const auto join = [](auto& view) {
    if (view.time == 1) view.time_stride = view.batch_stride;
    view.time *= view.batch;
    view.batch = 1;
    view.batch_stride = view.time * view.time_stride;
  };
  join(x);
  join(y);
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
