#pragma once

#include <concepts>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/random.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/core/workspace.hpp>
#include <stepscan/layers/forms.hpp>
#include <stepscan/layers/properties.hpp>
#include <string>

namespace stepscan::inline STEPSCAN_ISA {

/// How a layer is trained: its Tape, forward and backward. Specialised in <stepscan/layers/backward.hpp> and the
/// headers it includes, so that those who only infer never compile a backward pass.
template <class L>
struct Training {
  static_assert(sizeof(L) == 0,
                "stepscan: to train this layer, include <stepscan/layers/backward.hpp>; to train a model, its "
                "<stepscan/models/..._backward.hpp>");
};

/// How fresh parameters are found that take more than random numbers (eigenvalues). Specialised as Training is.
template <class L>
struct Initialization {
  static_assert(sizeof(L) == 0, "stepscan: to initialize this layer, include <stepscan/layers/backward.hpp>");
};

/// What a layer's forward pass keeps for its backward pass.
template <class L>
using Tape = typename Training<L>::Tape;

namespace detail {

/// The texts of messages, out of the way of the layers and compiled once.
[[nodiscard, gnu::cold, gnu::noinline]] inline std::string describe_layer(const char* name, Index inputs,
                                                                          Index outputs) {
  return std::string(name) + " [" + std::to_string(inputs) + " -> " + std::to_string(outputs) + "]";
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_call(const std::string& layer, const char* what,
                                                               Index expected, Index found) {
  fail<ShapeError>(layer + ": expected " + what + " " + std::to_string(expected) + ", found " + std::to_string(found));
}

}  // namespace detail

/// The face of every layer, over what it itself provides:
///
///   State, initial_state(batch)      where a sequence starts; a plain value
///   Forms, DefaultForm               a std::tuple of the forms it has, and the one `scan` takes
///   input_size(), output_size()      features in and out
///   run_step(state, x, y)            one token
///   run_scan(form, state, x, y, workspace)
///
/// Parameters are public members listed by fields(). A layer is immutable while it runs: any number of threads may run
/// one layer, each with a state of its own.
///
/// Sequences are [batch, time, features], tokens [batch, features]; x and y must not overlap.
template <class Self, Scalar S, Index Inputs, Index Outputs>
class Layer {
 public:
  using scalar_type = S;
  static constexpr Index static_inputs = Inputs;
  static constexpr Index static_outputs = Outputs;

  /// Whether output t depends on no input behind t.
  static constexpr bool causal = true;
  /// Whether the layer runs in any form because it carries nothing from token to token.
  static constexpr bool any_form = false;
  /// Whether as many tokens come out as go in.
  static constexpr bool keeps_time = true;
  /// Whether the layer, between functions of single tokens, is a linear system with the same coefficients at every
  /// token: h_t = A h_(t-1) + B u_t, y_t = C h_t + D u_t, or a window of taps (linear time-invariant). It then has an
  /// impulse response. Not so where decays, gates or what is read come from the token: attentions, selective scans and
  /// gated recurrences answer a later token as an earlier one, but not by a convolution.
  static constexpr bool time_invariant = false;
  /// By how many tokens the outputs lag: what the layer has to say of token t comes out at token t + latency.
  static constexpr Index latency = 0;
  /// How many consecutive tokens an output depends on, its own among them; `unbounded` where a state is carried through
  /// the sequence, Dynamic where a size decides that is not part of the type.
  static constexpr Index receptive_field = unbounded;

  /// One token of every batch member, from the state and into it. Never throws or allocates; sizes are checked in debug
  /// builds.
  template <class State>
  void step(State& state, MatrixView<const S, Dynamic, Inputs> x, MatrixView<S, Dynamic, Outputs> y) const noexcept {
    static_assert(Self::causal,
                  "stepscan: this layer has no step: it reads the whole sequence before its first output");
    STEPSCAN_ASSERT(x.cols == self().input_size() && y.cols == self().output_size() && x.rows == y.rows);
    self().run_step(state, x, y);
  }

  /// A whole sequence, from the state and into it, in the given form. Throws ShapeError when sizes do not fit.
  template <class Form = OwnForm, class State>
  void scan(State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y, Workspace& workspace,
            const Form& form = {}) const {
    static_assert(has_form<Self, Form>, "stepscan: this layer does not have the form asked for; see its Forms");
    check(state, x, y);
    if (x.batch == 0 || x.time == 0) return;
    self().run_scan(resolve(form), state, x, y, workspace);
  }

  /// The same with scratch memory of its own.
  template <class Form = OwnForm, class State>
  void scan(State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y, const Form& form = {}) const {
    Workspace workspace;
    scan(state, x, y, workspace, form);
  }

  /// A scan that keeps in the tape what `backward` needs. x must stay where it is until then.
  template <class Form = OwnForm, class State, class TapeType>
  void forward(State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y, TapeType& tape,
               const Form& form = {}) const {
    static_assert(has_form<Self, Form>, "stepscan: this layer does not have the form asked for; see its Forms");
    check(state, x, y);
    Training<Self>::forward(self(), resolve(form), state, x, y, tape);
  }

  /// From the cotangents of y and of the final state: adds the gradient of the parameters to `gradient`, writes the
  /// cotangents of x and of the initial state. dy of padding is not read; dx of padding is zero.
  template <class TapeType, class State>
  void backward(TapeType& tape, SequenceView<const S, Outputs> dy, const State& dstate_end, Self& gradient,
                SequenceView<S, Inputs> dx, State& dstate_start) const {
    Training<Self>::backward(self(), tape, dy, dstate_end, gradient, dx, dstate_start);
  }

  /// "Lstm [4 -> 8]", for messages.
  [[nodiscard]] std::string description() const {
    return detail::describe_layer(Self::name, self().input_size(), self().output_size());
  }

  /// How many tokens come out when `time` tokens go in.
  [[nodiscard]] Index output_time(Index time) const noexcept { return time; }

  /// The parameters as they are run; layers with derived parameters (packed weights, discretised matrices) replace
  /// this.
  template <class Stored = S, class Math = void>
  [[nodiscard]] Self plan() const {
    return self();
  }

 protected:
  Layer() = default;

 private:
  [[nodiscard]] const Self& self() const noexcept { return static_cast<const Self&>(*this); }

  template <class Form>
  static auto resolve(const Form& form) {
    if constexpr (std::same_as<Form, OwnForm>) {
      return typename Self::DefaultForm{};
    } else {
      return form;
    }
  }

  template <class State>
  void check(State& state, const SequenceView<const S, Inputs>& x, const SequenceView<S, Outputs>& y) const {
    const auto require = [&](bool fits, const char* what, Index expected, Index found) {
      if (!fits) detail::refuse_call(description(), what, expected, found);
    };
    require(x.features == self().input_size(), "input features", self().input_size(), x.features);
    require(y.features == self().output_size(), "output features", self().output_size(), y.features);
    require(y.batch == x.batch, "an output batch of", x.batch, y.batch);
    require(y.time == self().output_time(x.time), "output tokens", self().output_time(x.time), y.time);
    for_each_tensor(
        [&](const Path&, const auto& tensor) {
          require(tensor.extent(0) == x.batch, "a state for a batch of", x.batch, tensor.extent(0));
        },
        state);
  }
};

/// A state without content: of layers that carry nothing from token to token.
struct NoState {
  static constexpr auto fields() { return std::tuple<>{}; }
};

/// What every layer and plan offers to those who run it.
template <class L>
concept SequenceLayer = std::semiregular<typename L::State> && requires(const L& layer) {
  typename L::scalar_type;
  typename L::State;
  typename L::DefaultForm;
  { layer.initial_state(Index{}) } -> std::same_as<typename L::State>;
  { layer.input_size() } -> std::convertible_to<Index>;
  { layer.output_size() } -> std::convertible_to<Index>;
};

/// A layer that has an impulse response (see Layer::time_invariant): of these alone there is a Convolution form.
template <class L>
concept TimeInvariant = SequenceLayer<L> && L::time_invariant;

/// A layer whose parameters can be visited, saved and trained.
template <class L>
concept ParameterisedLayer = SequenceLayer<L> && Tree<L>;

/// Calls f(path, parameter, ...) for every parameter of a layer, or of several layers of one type in lockstep (a model,
/// its gradient, an optimiser's moments), in a fixed order.
template <class F, Tree L, class... Ls>
void for_each_parameter(F&& f, L& layer, Ls&... more) {
  for_each_tensor(static_cast<F&&>(f), layer, more...);
}

/// An immutable plan of a layer for inference: a layer with the same State whose derived parameters (packed weights,
/// discretised matrices, spectra) are worked out once. `Stored` is the type weights are kept in: the layer's own, Half
/// or BFloat16; `Math` is Exact or Fast (kernels/math.hpp).
template <class Stored = void, class Math = void, class L>
[[nodiscard]] auto prepare(const L& layer) {
  using Kept = std::conditional_t<std::is_void_v<Stored>, typename L::scalar_type, Stored>;
  return layer.template plan<Kept, Math>();
}

/// Writes fresh parameters, each layer as its paper or reference implementation does. The same seed gives the same
/// parameters on every platform.
template <Tree L>
void initialize(L& layer, std::uint64_t seed) {
  Random random(seed);
  layer.initialize(random);
}

}  // namespace stepscan::inline STEPSCAN_ISA
