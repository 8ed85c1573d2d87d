#pragma once

#include <stepscan/models/sequential.hpp>
#include <stepscan/ops/tokens.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The sizes stand in the type's name, where the compiler shows them.
template <class Inner, Index Inputs, Index Outputs>
struct ResidualSizes {
  static_assert(Inputs == Dynamic || Outputs == Dynamic || Inputs == Outputs,
                "stepscan: the layers inside a Residual give back another number of features than they take");
  static constexpr bool fit = true;
};

}  // namespace detail

/// Layers and a way around them: y = x + f(x), f = Sequential<Layers...> (He et al., arXiv 1512.03385). Parameters and
/// states are named 0, 1, ... as in Sequential. See PreNorm and PostNorm.
template <SequenceLayer... Layers>
class Residual : public Layer<Residual<Layers...>, typename Sequential<Layers...>::scalar_type,
                              Sequential<Layers...>::static_inputs, Sequential<Layers...>::static_outputs> {
  using Inner = Sequential<Layers...>;
  using S = typename Inner::scalar_type;
  static constexpr Index Inputs = Inner::static_inputs;
  static constexpr Index Outputs = Inner::static_outputs;
  static_assert(detail::ResidualSizes<Inner, Inputs, Outputs>::fit);
  static_assert(Inner::keeps_time, "stepscan: the layers inside a Residual change the number of tokens");

 public:
  static constexpr const char* name = "Residual";
  using State = typename Inner::State;
  using Forms = typename Inner::Forms;
  using DefaultForm = OwnForm;
  static constexpr bool causal = Inner::causal;
  static constexpr bool any_form = Inner::any_form;
  static constexpr bool time_invariant = Inner::time_invariant;
  static constexpr Index latency = Inner::latency;
  static constexpr Index receptive_field = Inner::receptive_field;
  template <class Form>
  static constexpr Index block_tokens = Inner::template block_tokens<Form>;

  Inner inner;

  static constexpr auto fields() requires(Trees<Layers...>) { return std::tuple{Field{"", &Residual::inner}}; }

  Residual() = default;
  /// Throws ShapeError when sizes do not fit.
  explicit Residual(Layers... layers) : Residual(Inner(std::move(layers)...)) {}
  explicit Residual(Inner layers) : inner(std::move(layers)) {
    if (inner.input_size() != inner.output_size()) {
      fail<ShapeError>("Residual: expected as many outputs as inputs, found " + inner.description() + " inside");
    }
  }

  void initialize(Random& random) { inner.initialize(random); }

  [[nodiscard]] Index input_size() const noexcept { return inner.input_size(); }
  [[nodiscard]] Index output_size() const noexcept { return inner.output_size(); }
  [[nodiscard]] State initial_state(Index batch) const { return inner.initial_state(batch); }

  /// A Residual of the layers' plans.
  template <class Stored = S, class Math = void>
  [[nodiscard]] auto plan() const {
    return around(inner.template plan<Stored, Math>());
  }

 private:
  friend Layer<Residual, S, Inputs, Outputs>;

  template <class... Plans>
  static Residual<Plans...> around(Sequential<Plans...> plans) {
    return Residual<Plans...>(std::move(plans));
  }

  void run_step(State& state, MatrixView<const S, Dynamic, Inputs> x,
                MatrixView<S, Dynamic, Outputs> y) const noexcept {
    inner.step(state, x, y);
    add_rows<S>(x, y);
  }

  template <class Form>
  void run_scan(const Form& form, State& state, SequenceView<const S, Inputs> x, SequenceView<S, Outputs> y,
                Workspace& workspace) const {
    detail::clear_report(form);
    const Index tokens = std::min(block_tokens<Form>, x.time);
    for (Index start = 0; start < x.time; start += tokens) {
      const Index count = std::min(tokens, x.time - start);
      const auto in = x.slice(start, count);
      const auto out = y.slice(start, count);
      detail::scan_part(inner, form, state, in, out, workspace);
      add_tokens<S>(in, out);
    }
  }
};

template <class... Layers>
Residual(Layers...) -> Residual<Layers...>;
template <class... Layers>
Residual(Sequential<Layers...>) -> Residual<Layers...>;

/// y = x + f(norm(x)): the block of GPT-2, Llama, Mamba and most deep stacks (arXiv 2002.04745, figure 1b).
template <SequenceLayer Norm, SequenceLayer... Layers>
using PreNorm = Residual<Norm, Layers...>;

/// y = norm(x + f(x)): the block of the first Transformer (arXiv 1706.03762, section 3.1).
template <SequenceLayer Norm, SequenceLayer... Layers>
using PostNorm = Sequential<Residual<Layers...>, Norm>;

template <class... Layers>
struct Training<Residual<Layers...>> {
  using L = Residual<Layers...>;
  using Inner = Training<Sequential<Layers...>>;
  using S = typename L::scalar_type;

  struct Tape {
    typename Inner::Tape inner;
    SequenceView<const S> x;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, typename L::State& state,
                      SequenceView<const S, L::static_inputs> x, SequenceView<S, L::static_outputs> y, Tape& tape) {
    tape.x = x;
    Inner::forward(layer.inner, form, state, x, y, tape.inner);
    add_tokens<S>(x, y);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, L::static_outputs> dy,
                       const typename L::State& dstate_end, L& gradient, SequenceView<S, L::static_inputs> dx,
                       typename L::State& dstate_start) {
    Inner::backward(layer.inner, tape.inner, dy, dstate_end, gradient.inner, dx, dstate_start);
    SequenceView<const S> real = dy;
    real.lengths = tape.x.lengths;
    real.start = tape.x.start;
    add_tokens<S>(real, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
