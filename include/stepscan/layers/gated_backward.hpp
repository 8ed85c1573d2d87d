#pragma once

#include <stepscan/layers/gated_layer.hpp>
#include <stepscan/ops/gated_recurrence_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A gated recurrence that owns its parameters: Lstm, Gru, ElmanRnn, Slstm, Multihead..., with and without input
/// weights.
template <class L>
concept GatedParameters = requires(const L& layer, L& gradient) {
  typename L::CellType;
  layer.parameters();
  gradient.mutable_parameters();
};

/// Keeps the pre-activations and states of every token, and a view of x. The gradient is that of backpropagation
/// through time whatever the form of the forward pass; after Newton it takes the true Jacobian, not the one that was
/// iterated. Batch members are spread over threads.
template <GatedParameters L>
struct Training<L> {
  using S = typename L::scalar_type;
  using Cell = typename L::CellType;
  using State = typename L::State;
  using Tape = GatedTape<Cell, S>;
  static constexpr Index Inputs = L::static_inputs;
  static constexpr Index Outputs = L::static_outputs;

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Inputs> x,
                      SequenceView<S, Outputs> y, Tape& tape) {
    tape.begin(x, layer.output_size());
    if (x.batch == 0 || x.time == 0) return;
    constexpr bool solves_whole_chunks = requires { form.max_iterations; };
    if constexpr (solves_whole_chunks) {
      State start = state;
      layer.scan(state, x, y, tape.workspace, form);
      layer.with_packed_weights(tape.workspace, [&](const auto& weights, auto math) {
        fill_tape<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(start), x, SequenceView<const S>(y), tape);
      });
    } else {
      layer.with_packed_weights(tape.workspace, [&](const auto& weights, auto math) {
        forward_chunked<Cell, decltype(math), S, Inputs>(weights, state_rows<Cell>(state), x, SequenceView<S>(y),
                                                         tokens(form), tape);
      });
    }
  }

  /// Throws ShapeError when dy, dx or dstate_end do not have the shape of what the tape holds.
  static void backward(const L& layer, Tape& tape, SequenceView<const S, Outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Inputs> dx, State& dstate_start) {
    check(layer, tape, "dy", dy.batch, dy.time, dy.features, layer.output_size());
    check(layer, tape, "dx", dx.batch, dx.time, dx.features, layer.input_size());
    for_each_tensor(
        [&](const Path& path, const auto& tensor) {
          if (tensor.extent(0) == tape.x.batch && tensor.extent(1) == layer.output_size()) return;
          fail<ShapeError>(layer.description() + ": expected dstate_end." + path.str() + " of shape " +
                           shape_text({tape.x.batch, layer.output_size()}) + ", found " + shape_text(tensor.shape()));
        },
        dstate_end);
    if (&dstate_start != &dstate_end) dstate_start = dstate_end;
    if (tape.x.batch == 0 || tape.x.time == 0) return;
    gated_backward<Cell, S>(layer.parameters().dynamic(), tape, dy, gradient.mutable_parameters().dynamic(), dx,
                            state_rows<Cell>(dstate_start));
  }

 private:
  static constexpr Index tokens(Recurrent) noexcept { return 0; }
  template <Index Tokens>
  static constexpr Index tokens(Chunked<Tokens>) noexcept {
    return Tokens;
  }

  static void check(const L& layer, const Tape& tape, const char* what, Index batch, Index time, Index features,
                    Index expected) {
    if (batch == tape.x.batch && time == tape.x.time && features == expected) return;
    fail<ShapeError>(layer.description() + ": expected " + what + " of shape " +
                     shape_text({tape.x.batch, tape.x.time, expected}) + " as the tape's forward pass had, found " +
                     shape_text({batch, time, features}));
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
