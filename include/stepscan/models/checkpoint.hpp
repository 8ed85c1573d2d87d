#pragma once

#include <functional>
#include <stepscan/layers/combinator.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// A layer that is trained in less memory (activation checkpointing: Chen et al., arXiv 1604.06174; Gruslys et al.,
/// arXiv 1606.03401): its forward pass keeps the state before every `Tokens` tokens alone, and its backward pass runs
/// these tokens forward once more. The tape of the layer then holds `Tokens` tokens however long the sequence, for one
/// more forward pass in time; it pays for states much smaller than the tape of their tokens, not for a cache of keys
/// and values, which grows with the sequence. Otherwise the layer itself: the same function, State and parameter names.
/// Any block of an assembly may be one:
///   Sequential<Checkpoint<64, Residual<RmsNorm<float, 256>, Mamba<float, 256>>>, Linear<float, 256, 10>>
/// Gradients are those of the layer to rounding. Measured, forward and backward on one core (AVX2): an Lstm of 256 units
/// on 16 sequences of 256 tokens with Tokens = 32 takes 1.37 times as long in 0.53 of the memory (17 MB), a Mamba of 256
/// features on 4 of 1,024 with Tokens = 64 1.27 times as long in 0.15 of it (28 MB).
template <Index Tokens, SequenceLayer Inner>
class Checkpoint : public Layer<Checkpoint<Tokens, Inner>, typename Inner::scalar_type, Inner::static_inputs,
                                Inner::static_outputs> {
  using S = typename Inner::scalar_type;
  static constexpr Index Inputs = Inner::static_inputs;
  static constexpr Index Outputs = Inner::static_outputs;
  static_assert(Tokens > 0, "stepscan: a Checkpoint keeps the state before every Tokens tokens, at least 1");
  static_assert(Inner::causal,
                "stepscan: the layer inside a Checkpoint reads the whole sequence before its first output");
  static_assert(Inner::keeps_time, "stepscan: the layer inside a Checkpoint changes the number of tokens");

 public:
  static constexpr const char* name = "Checkpoint";
  using State = typename Inner::State;
  using Forms = typename Inner::Forms;
  using DefaultForm = typename Inner::DefaultForm;
  static constexpr bool any_form = Inner::any_form;
  static constexpr bool time_invariant = Inner::time_invariant;
  static constexpr Index latency = Inner::latency;
  static constexpr Index receptive_field = Inner::receptive_field;
  template <class Form>
  static constexpr Index block_tokens = detail::block_of_layer<Inner, Form>();

  Inner inner;

  static constexpr auto fields() { return std::tuple{Field{"", &Checkpoint::inner}}; }

  Checkpoint() = default;
  explicit Checkpoint(Inner layer) : inner(std::move(layer)) {}

  void initialize(Random& random) { inner.initialize(random); }

  [[nodiscard]] Index input_size() const noexcept { return inner.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return inner.output_size(); }
  [[nodiscard]] State initial_state(Index batch) const { return inner.initial_state(batch); }

  /// The layer's own plan.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return inner.template plan<Stored, Math>();
  }

 private:
  friend Layer<Checkpoint, S, Inputs, Outputs>;

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    inner.step(state, x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    inner.scan(state, x, y, workspace, form);
  }
};

template <Index Tokens, SequenceLayer Inner>
struct Training<Checkpoint<Tokens, Inner>> {
  using L = Checkpoint<Tokens, Inner>;
  using S = typename L::scalar_type;
  using State = typename L::State;
  using Input = SequenceView<const S, L::static_inputs>;
  using Output = SequenceView<S, L::static_outputs>;
  using InnerTape = typename Training<Inner>::Tape;

  struct Tape {
    Input x;
    std::vector<State> states;                                                       ///< before every window of tokens
    std::function<void(const Inner&, State&, Input, Output, InnerTape&)> run_again;  ///< forward in the form it had
    InnerTape window;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, Input x, Output y, Tape& tape) {
    tape.x = x;
    tape.states.resize(static_cast<std::size_t>((x.time + Tokens - 1) / Tokens), state);
    detail::clear_report(form);
    for (std::size_t window = 0; window < tape.states.size(); ++window) {
      const Index first = static_cast<Index>(window) * Tokens;
      const Index count = std::min(Tokens, x.time - first);
      tape.states[window] = state;
      detail::scan_part(layer.inner, form, state, x.slice(first, count), y.slice(first, count), tape.workspace);
    }
    Form silent = form;
    if constexpr (detail::Reporting<Form>) silent.report = nullptr;
    tape.run_again = [silent](const Inner& inner, State& from, Input in, Output out, InnerTape& to) {
      inner.forward(from, in, out, to, silent);
    };
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, L::static_inputs> dx, State& dstate_start) {
    State behind = dstate_end;
    for (std::size_t window = tape.states.size(); window-- > 0;) {
      const Index first = static_cast<Index>(window) * Tokens;
      const Index count = std::min(Tokens, tape.x.time - first);
      const Workspace::Scope scope(tape.workspace);
      const Input in = tape.x.slice(first, count);
      const Output out = tape.workspace.template sequence<S>(in, Extent<L::static_outputs>(layer.output_size()));
      State state = tape.states[window];
      tape.run_again(layer.inner, state, in, out, tape.window);
      State before = behind;
      layer.inner.backward(tape.window, dy.slice(first, count), behind, gradient.inner, dx.slice(first, count), before);
      behind = std::move(before);
    }
    dstate_start = std::move(behind);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
