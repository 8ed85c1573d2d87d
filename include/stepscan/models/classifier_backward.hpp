#pragma once

#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/models/classifier.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Keeps the encoder's tape and outputs and what they were pooled to. To be included beside the encoder's own backward
/// headers.
template <class Encoder, Index Classes, Pooling Kind>
struct Training<Classifier<Encoder, Classes, Kind>> {
  using L = Classifier<Encoder, Classes, Kind>;
  using S = typename L::scalar_type;
  using State = typename L::State;
  static constexpr Index Inputs = Encoder::static_inputs;
  static constexpr Index Features = Encoder::static_outputs;

  struct Tape {
    typename Training<Encoder>::Tape encoder;
    Tensor<S, Dynamic> features;
    Tensor<S, Dynamic, Dynamic, Dynamic> pooled;  ///< [batch, 1, features]
    Tensor<S, Dynamic> dfeatures;
    Tensor<Index, Dynamic> lengths;  ///< behind the encoder
    detail::BetweenLayers shape = detail::BetweenLayers(SequenceView<const S>());
  };

  template <class Form>
  static void forward(const L& model, const Form& form, State& state, const SequenceView<const S, Inputs>& x,
                      const MatrixView<S, Dynamic, Classes>& logits, Tape& tape) {
    tape.lengths = Tensor<Index, Dynamic>(x.batch);
    tape.shape = detail::BetweenLayers(x);
    tape.shape.pass(model.encoder, 0, tape.lengths.data());
    const auto features = sequence(model, tape, tape.features);
    model.encoder.forward(state, x, features, tape.encoder, form);
    tape.pooled = Tensor<S, Dynamic, Dynamic, Dynamic>(x.batch, 1, model.head.input_size());
    const Pool<Kind, S> pool{pooled(tape)};
    pool.begin();
    pool.add(features);
    pool.finish(features);
    NoState none;
    model.head.step(none, pool.y, logits);
  }

  static void backward(const L& model, Tape& tape, const MatrixView<const S, Dynamic, Classes>& dlogits,
                       const State& dstate_end, L& gradient, const SequenceView<S, Inputs>& dx, State& dstate_start) {
    Tensor<S, Dynamic, Dynamic, Dynamic> dpooled(tape.pooled.shape());
    detail::linear_backward<S>(model.head.weight, std::as_const(tape.pooled), one_token(dlogits), gradient.head.weight,
                               gradient.head.bias.data(), dpooled);
    const auto features = sequence(model, tape, tape.features), dfeatures = sequence(model, tape, tape.dfeatures);
    pool_backward<Kind, S>(features, pooled(tape), SequenceView<const S>(std::as_const(dpooled)).frame(0), dfeatures);
    model.encoder.backward(tape.encoder, dfeatures, dstate_end, gradient.encoder, dx, dstate_start);
  }

 private:
  static MatrixView<S> pooled(Tape& tape) { return SequenceView<S>(tape.pooled).frame(0); }

  static SequenceView<S, Features> sequence(const L& model, const Tape& tape, Tensor<S, Dynamic>& memory) {
    const Index features = model.head.input_size();
    S* const room = room_in(memory, tape.shape.batch * tape.shape.time * features);
    return tape.shape.template view<Features>(room, features);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
