#pragma once

#include <stepscan/layers/parts.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the layers' tapes. To be included beside the layers' own backward headers.
template <class... Layers>
struct Training<Parts<Layers...>> {
  using L = Parts<Layers...>;
  using S = typename L::scalar_type;
  using Tape = std::tuple<typename Training<Layers>::Tape...>;

  template <class Form>
  static void forward(const L& parts, const Form& form, NoState& none, SequenceView<const S, L::static_inputs> x,
                      SequenceView<S, L::static_outputs> y, Tape& tape) {
    parts.for_each_part([&](auto number, Index in, Index out) {
      const auto& layer = std::get<number>(parts.layers);
      layer.forward(none, x.middle_features(in, Extent<Dynamic>(layer.input_size())),
                    y.middle_features(out, Extent<Dynamic>(layer.output_size())), std::get<number>(tape), form);
    });
  }

  static void backward(const L& parts, Tape& tape, SequenceView<const S, L::static_outputs> dy, const NoState& none,
                       L& gradient, SequenceView<S, L::static_inputs> dx, NoState& start) {
    parts.for_each_part([&](auto number, Index in, Index out) {
      const auto& layer = std::get<number>(parts.layers);
      layer.backward(std::get<number>(tape), dy.middle_features(out, Extent<Dynamic>(layer.output_size())), none,
                     std::get<number>(gradient.layers), dx.middle_features(in, Extent<Dynamic>(layer.input_size())),
                     start);
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
