#pragma once

#include <stepscan/core/threads.hpp>
#include <stepscan/layers/combinator.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where the two directions start: the forward one before the first token, the backward one behind the last.
template <class Forward, class Backward>
struct BidirectionalState {
  Forward forward;
  Backward backward;
  static constexpr auto fields() {
    return std::tuple{Field{"forward", &BidirectionalState::forward}, Field{"backward", &BidirectionalState::backward}};
  }
};

namespace detail {

/// The sizes stand in the type's name, where the compiler shows them.
template <class Forward, class Backward, Index ForwardInputs, Index BackwardInputs>
struct BidirectionalSizes {
  static_assert(ForwardInputs == Dynamic || BackwardInputs == Dynamic || ForwardInputs == BackwardInputs,
                "stepscan: the two directions of a Bidirectional take different numbers of inputs");
  static constexpr Index inputs = ForwardInputs == Dynamic ? BackwardInputs : ForwardInputs;
};

template <class Forward, class Backward>
using SizesOfDirections = BidirectionalSizes<Forward, Backward, Forward::static_inputs, Backward::static_inputs>;

}  // namespace detail

/// Two layers over one sequence, one in each direction (Schuster and Paliwal 1997):
///   y_t = [forward(x_1 ... x_t), backward(x_T ... x_t)]
/// The backward one reads each member of a ragged batch from its own last real token. Parameters and states are named
/// forward and backward. It reads the whole sequence before its first output, so it has no step.
template <SequenceLayer Forward, SequenceLayer Backward = Forward>
class Bidirectional : public Layer<Bidirectional<Forward, Backward>, typename Forward::scalar_type,
                                   detail::SizesOfDirections<Forward, Backward>::inputs,
                                   static_sum(Forward::static_outputs, Backward::static_outputs)> {
  using S = typename Forward::scalar_type;
  static constexpr Index Inputs = detail::SizesOfDirections<Forward, Backward>::inputs;
  static constexpr Index Outputs = static_sum(Forward::static_outputs, Backward::static_outputs);
  static_assert(std::same_as<S, typename Backward::scalar_type>,
                "stepscan: the directions of a Bidirectional have one scalar type");
  static_assert(Forward::keeps_time && Backward::keeps_time,
                "stepscan: the directions of a Bidirectional change the number of tokens");

 public:
  static constexpr const char* name = "Bidirectional";
  using State = BidirectionalState<typename Forward::State, typename Backward::State>;
  using Forms = detail::CommonForms<Forward, Backward>;
  using DefaultForm = OwnForm;
  static constexpr bool causal = false;
  static constexpr bool any_form = Forward::any_form && Backward::any_form;
  static constexpr bool time_invariant = Forward::time_invariant && Backward::time_invariant;
  static constexpr Index latency = std::max(Forward::latency, Backward::latency);
  static constexpr Index receptive_field = detail::chained_fields<Forward, Backward>();

  Forward forward_layer;
  Backward backward_layer;

  static constexpr auto fields() requires(Trees<Forward, Backward>) {
    return std::tuple{Field{"forward", &Bidirectional::forward_layer},
                      Field{"backward", &Bidirectional::backward_layer}};
  }

  Bidirectional() = default;
  /// Throws ShapeError when the directions take different numbers of inputs.
  Bidirectional(Forward forward_direction, Backward backward_direction)
      : forward_layer(std::move(forward_direction)), backward_layer(std::move(backward_direction)) {
    if (forward_layer.input_size() != backward_layer.input_size()) {
      fail<ShapeError>("Bidirectional: expected as many inputs in both directions, found " +
                       forward_layer.description() + " and " + backward_layer.description());
    }
  }

  void initialize(Random& random) {
    forward_layer.initialize(random);
    backward_layer.initialize(random);
  }

  [[nodiscard]] Index input_size() const noexcept { return forward_layer.input_size(); }
  [[nodiscard]] Index output_size() const noexcept {
    return forward_layer.output_size() + backward_layer.output_size();
  }
  [[nodiscard]] State initial_state(Index batch) const {
    return {forward_layer.initial_state(batch), backward_layer.initial_state(batch)};
  }

  /// A Bidirectional of the directions' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return stepscan::Bidirectional(forward_layer.template plan<Stored, Math>(),
                                   backward_layer.template plan<Stored, Math>());
  }

  /// The features of y that the forward and the backward direction write.
  template <class T, Index F>
  [[nodiscard]] auto forward_part(const SequenceView<T, F>& y) const noexcept {
    return y.template middle_features<Forward::static_outputs>(0, forward_layer.output_size());
  }
  template <class T, Index F>
  [[nodiscard]] auto backward_part(const SequenceView<T, F>& y) const noexcept {
    return y.template middle_features<Backward::static_outputs>(forward_layer.output_size(),
                                                                backward_layer.output_size());
  }

 private:
  friend Layer<Bidirectional, S, Inputs, Outputs>;

  /// Numbers read and written below which the directions are not worth a second thread.
  static constexpr Index shared_size = 4096;

  /// Two threads take a direction each, unless the batch has work for more or there is little to do.
  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    Form forward_form = form, backward_form = form;
    [[maybe_unused]] NewtonReport reports[2];
    if constexpr (detail::Reporting<Form>) {
      forward_form.report = &reports[0];
      backward_form.report = &reports[1];
    }
    Workspace& second = workspace.sibling();
    const bool shared = x.batch < max_threads() && x.batch * x.time * (x.features + y.features) >= shared_size;
    parallel_for(2, shared ? 2 : 1, [&](Index direction) {
      if (direction == 0) {
        forward_layer.scan(state.forward, x, forward_part(y), workspace, forward_form);
      } else {
        scan_backward(backward_form, state.backward, x, backward_part(y), second);
      }
    });
    if constexpr (detail::Reporting<Form>) {
      detail::clear_report(form);
      if (form.report != nullptr) {
        for (const NewtonReport& report : reports) detail::add_report(*form.report, report);
      }
    }
  }

  template <class Form>
  void scan_backward(const Form& form, typename Backward::State& state, const SequenceView<const S, Inputs>& x,
                     const SequenceView<S, Backward::static_outputs>& y, Workspace& workspace) const {
    detail::clear_report(form);
    const Workspace::Scope scope(workspace);
    const Index tokens = std::min(detail::block_of_layer<Backward, Form>(), x.time);
    S* inputs = workspace.template take<S>(x.batch * tokens * x.features);
    S* outputs = workspace.template take<S>(x.batch * tokens * y.features);
    SequenceView<S, Backward::static_outputs> real = y;
    real.lengths = x.lengths;
    real.start = x.start;
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      SequenceView<S, Inputs> in(inputs, x.batch, count, x.features);
      in.lengths = x.lengths;
      in.start = x.start + start;
      const SequenceView<S, Backward::static_outputs> out(outputs, x.batch, count, y.features);
      reverse_into<S>(x, start, in);
      detail::scan_part(backward_layer, form, state, in, out, workspace);
      reverse_from<S>(out, start, real);
    }
    clear_padding(x, y);
  }
};

template <class Forward, class Backward>
Bidirectional(Forward, Backward) -> Bidirectional<Forward, Backward>;

/// Keeps the directions' tapes and the reversed input.
template <class Forward, class Backward>
struct Training<Bidirectional<Forward, Backward>> {
  using L = Bidirectional<Forward, Backward>;
  using S = typename L::scalar_type;
  using Sequence = Tensor<S, Dynamic, Dynamic, Dynamic>;

  struct Tape {
    typename Training<Forward>::Tape forward;
    typename Training<Backward>::Tape backward;
    SequenceView<const S> x;
    Sequence reversed_x;
    Sequence reversed_y;  ///< then its cotangent
    Sequence reversed_dx;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state,
                      SequenceView<const S, L::static_inputs> x, SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    layer.forward_layer.forward(state.forward, x, layer.forward_part(y), tape.forward, form);
    resize(tape.reversed_x, {x.batch, x.time, x.features});
    resize(tape.reversed_y, {x.batch, x.time, layer.backward_layer.output_size()});
    reverse_into<S>(x, 0, tape.reversed_x);
    layer.backward_layer.forward(state.backward, with_lengths<const S, L::static_inputs>(tape, tape.reversed_x),
                                 SequenceView<S, Backward::static_outputs>(tape.reversed_y), tape.backward, form);
    const auto part = layer.backward_part(y);
    reverse_from<S>(tape.reversed_y, 0, with_lengths<S>(tape, part));
    clear_padding(x, part);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy,
                       const typename L::State& dstate_end, L& gradient, SequenceView<S, L::static_inputs> dx,
                       typename L::State& dstate_start) {
    layer.forward_layer.backward(tape.forward, layer.forward_part(dy), dstate_end.forward, gradient.forward_layer, dx,
                                 dstate_start.forward);
    resize(tape.reversed_dx, {tape.x.batch, tape.x.time, tape.x.features});
    reverse_into<S>(with_lengths<const S>(tape, layer.backward_part(dy)), 0, tape.reversed_y);
    layer.backward_layer.backward(tape.backward,
                                  SequenceView<const S, Backward::static_outputs>(std::as_const(tape.reversed_y)),
                                  dstate_end.backward, gradient.backward_layer,
                                  SequenceView<S, L::static_inputs>(tape.reversed_dx), dstate_start.backward);
    add_reversed<S>(std::as_const(tape.reversed_dx), 0, with_lengths<S>(tape, dx));
  }

 private:
  /// A sequence whose padding is that of x.
  template <class T, Index F = Dynamic, class From>
  static SequenceView<T, F> with_lengths(const Tape& tape, const From& sequence) {
    SequenceView<T, F> view(sequence);
    view.lengths = tape.x.lengths;
    view.start = tape.x.start;
    return view;
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
