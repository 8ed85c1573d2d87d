#pragma once

#include <stepscan/layers/norm_layer.hpp>
#include <stepscan/ops/norm_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// RmsNorm, LayerNorm, GroupNorm.
template <class L>
concept NormParameters = requires(const L& layer) {
  { layer.norm() } -> std::same_as<Norm<typename L::scalar_type>>;
  L::centre;
};

/// Keeps a view of x alone; the statistics are taken again.
template <NormParameters L>
struct Training<L> {
  using S = typename L::scalar_type;
  static constexpr Index Features = L::static_inputs;

  struct Tape {
    SequenceView<const S, Features> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, NoState& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    layer.scan(state, x, y, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const NoState&, L& gradient,
                       SequenceView<S, Features> dx, NoState&) {
    NormGradient<S> to{gradient.weight.data()};
    if constexpr (requires { gradient.bias.data(); }) to.bias = gradient.bias.data();
    for (Index b = 0; b < tape.x.batch; ++b) {
      const Index tokens = tape.x.length(b);
      normalize_backward<L::centre, S>(layer.norm(), tape.x.member(b).middle_rows(0, tokens),
                                       dy.member(b).middle_rows(0, tokens), to, dx.member(b).middle_rows(0, tokens));
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
