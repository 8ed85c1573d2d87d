#pragma once

#include <stepscan/layers/combinator.hpp>
#include <stepscan/layers/linear.hpp>
#include <stepscan/ops/pooling.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// One label for a whole sequence:
///   logits = W pool(encoder(x)) + b
/// x [batch, time, inputs], ragged or not; logits [batch, Classes]. The encoder is any layer, also one that looks ahead
/// or changes the number of tokens. Parameters are named encoder... and head.weight, head.bias. For a label after every
/// token, streaming, put a Linear behind the encoder in a Sequential.
///   Classifier<Bidirectional<Gru<float, 8, 32>>, 10, Pooling::mean> model;
/// Training: models/classifier_backward.hpp.
template <SequenceLayer Encoder, Index Classes, Pooling Kind = Pooling::mean>
class Classifier {
  using S = typename Encoder::scalar_type;
  static constexpr Index Inputs = Encoder::static_inputs;
  static constexpr Index Features = Encoder::static_outputs;

 public:
  using scalar_type = S;
  using State = typename Encoder::State;
  static constexpr const char* name = "Classifier";
  static constexpr Index static_inputs = Inputs;
  static constexpr Index static_outputs = Classes;
  static constexpr bool keeps_time = false;

  Encoder encoder;
  Linear<S, Features, Classes> head;

  static constexpr auto fields() requires(Tree<Encoder>) {
    return std::tuple{Field{"encoder", &Classifier::encoder}, Field{"head", &Classifier::head}};
  }

  Classifier() = default;
  /// The head all zero until initialised or loaded.
  Classifier(const Encoder& layer, Extent<Classes> classes)
      : Classifier(layer, Linear<S, Features, Classes>(layer.output_size(), classes)) {}
  /// Throws ShapeError when sizes do not fit.
  Classifier(Encoder layer, Linear<S, Features, Classes> projection)
      : encoder(std::move(layer)), head(std::move(projection)) {
    if (encoder.output_size() != head.input_size()) {
      fail<ShapeError>("Classifier: expected a head of " + std::to_string(encoder.output_size()) + " inputs, found " +
                       head.description());
    }
  }

  void initialize(Random& random) {
    encoder.initialize(random);
    head.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return encoder.input_size(); }
  [[nodiscard]] Index classes() const noexcept { return head.output_size(); }
  /// Those of a layer that writes one token.
  [[nodiscard]] Index output_size() const noexcept { return classes(); }
  [[nodiscard]] Index output_time(Index) const noexcept { return 1; }
  [[nodiscard]] State initial_state(Index batch) const { return encoder.initial_state(batch); }

  /// A Classifier of the encoder's plan.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    using Plan = decltype(encoder.template plan<Stored, Math>());
    return Classifier<Plan, Classes, Kind>(encoder.template plan<Stored, Math>(), head);
  }

  /// Labels sequences that start with the state, which the encoder takes on. A causal encoder runs through blocks of
  /// tokens. Throws ShapeError when sizes do not fit.
  template <class Form = OwnForm>
  void scan(State& state, SequenceView<const S, Inputs> x, MatrixView<S, Dynamic, Classes> logits, Workspace& workspace,
            const Form& form = {}) const {
    check(x, logits.rows, logits.cols);
    detail::clear_report(form);
    const Workspace::Scope scope(workspace);
    const Pool<Kind, S> pool{workspace.template matrix<S>(x.batch, Extent<Dynamic>(head.input_size()))};
    pool.begin();
    const Index tokens = std::min(detail::block_of_layer<Encoder, Form>(), x.time);
    detail::BetweenLayers whole(x);
    whole.pass(encoder, 0, workspace.template take<Index>(x.batch));
    S* const memory = workspace.template take<S>(x.batch * encoder.output_time(tokens) * head.input_size());
    Index* const lengths = workspace.template take<Index>(x.batch);
    for (Index start = 0; start < x.time; start += tokens) {
      const auto in = x.slice(start, std::min(tokens, x.time - start));
      detail::BetweenLayers shape(in);
      shape.pass(encoder, 0, lengths);
      const auto features = shape.template view<Features>(memory, head.input_size());
      detail::scan_part(encoder, form, state, in, features, workspace);
      pool.add(features);
    }
    pool.finish(whole.template view<Dynamic, const S>(nullptr, head.input_size()));
    NoState none;
    head.step(none, pool.y, logits);
  }

  /// A scan that keeps in the tape what `backward` needs. x must stay where it is until then.
  template <class Form = OwnForm, class TapeType>
  void forward(State& state, SequenceView<const S, Inputs> x, MatrixView<S, Dynamic, Classes> logits, TapeType& tape,
               const Form& form = {}) const {
    check(x, logits.rows, logits.cols);
    Training<Classifier>::forward(*this, form, state, x, logits, tape);
  }
  /// The same for logits [batch, 1, classes].
  template <class Form = OwnForm, class TapeType>
  void forward(State& state, SequenceView<const S, Inputs> x, SequenceView<S, Classes> logits, TapeType& tape,
               const Form& form = {}) const {
    forward(state, x, only_token(logits), tape, form);
  }

  /// From the cotangents of the logits and of the encoder's final state: adds the gradient of the parameters to
  /// `gradient`, writes the cotangents of x, 0 in its padding, and of the initial state.
  template <class TapeType>
  void backward(TapeType& tape, MatrixView<const S, Dynamic, Classes> dlogits, const State& dstate_end,
                Classifier& gradient, SequenceView<S, Inputs> dx, State& dstate_start) const {
    Training<Classifier>::backward(*this, tape, dlogits, dstate_end, gradient, dx, dstate_start);
  }
  template <class TapeType>
  void backward(TapeType& tape, SequenceView<const S, Classes> dlogits, const State& dstate_end, Classifier& gradient,
                SequenceView<S, Inputs> dx, State& dstate_start) const {
    backward(tape, only_token(dlogits), dstate_end, gradient, dx, dstate_start);
  }

 private:
  template <class T>
  static MatrixView<T, Dynamic, Classes> only_token(const SequenceView<T, Classes>& logits) {
    if (logits.time != 1) detail::refuse_call(name, "tokens of logits:", 1, logits.time);
    return logits.frame(0);
  }
  void check(const SequenceView<const S, Inputs>& x, Index rows, Index columns) const {
    if (x.features != input_size() || rows != x.batch || columns != classes()) {
      fail<ShapeError>("Classifier: expected inputs of " + std::to_string(input_size()) +
                       " features and logits of shape " + shape_text({x.batch, classes()}) + ", found " +
                       std::to_string(x.features) + " features and " + shape_text({rows, columns}));
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
