#pragma once

#include <stepscan/layers/layer.hpp>

/// The smallest layer with a state, to test combinators by hand: h' = a h + x, y = h', elementwise.
namespace stepscan::testing {

template <Scalar S, Index Features>
struct LeakyState {
  Tensor<S, Dynamic, Features> h;
  static constexpr auto fields() { return std::tuple{Field{"h", &LeakyState::h}}; }
};

template <Scalar S, Index Features, class Default = Chunked<>>
class Leaky : public Layer<Leaky<S, Features, Default>, S, Features, Features> {
 public:
  static constexpr const char* name = "Leaky";
  using State = LeakyState<S, Features>;
  using Forms = std::tuple<Recurrent, Chunked<>>;
  using DefaultForm = Default;

  Tensor<S, Features> decay;

  static constexpr auto fields() { return std::tuple{Field{"decay", &Leaky::decay}}; }

  Leaky() = default;
  explicit Leaky(Index features) : decay(features) {}

  void initialize(Random& random) {
    for (S& value : decay) value = static_cast<S>(random.uniform(0, 1));
  }

  [[nodiscard]] Index input_size() const noexcept { return decay.size(); }
  [[nodiscard]] Index output_size() const noexcept { return decay.size(); }
  [[nodiscard]] State initial_state(Index batch) const { return {Tensor<S, Dynamic, Features>(batch, decay.size())}; }

 private:
  friend Layer<Leaky, S, Features, Features>;

  void run_step(State& state, MatrixView<const S, Dynamic, Features> x,
                MatrixView<S, Dynamic, Features> y) const noexcept {
    advance(state, x, y, 0);
  }
  template <class Form>
  void run_scan(const Form&, State& state, SequenceView<const S, Features> x, SequenceView<S, Features> y,
                Workspace&) const {
    for (Index t = 0; t < x.time; ++t) {
      for_each_active_run(x, y, t, [&](Index first, Index count) {
        advance(state, x.frame(t, first, count), y.frame(t, first, count), first);
      });
    }
    clear_padding(x, y);
  }
  void advance(State& state, MatrixView<const S, Dynamic, Features> x, MatrixView<S, Dynamic, Features> y,
               Index row) const noexcept {
    for (Index r = 0; r < x.rows; ++r) {
      for (Index i = 0; i < decay.size(); ++i) y(r, i) = state.h(row + r, i) = decay[i] * state.h(row + r, i) + x(r, i);
    }
  }
};

}  // namespace stepscan::testing

namespace stepscan::inline STEPSCAN_ISA {

template <Scalar S, Index Features, class Default>
struct Training<testing::Leaky<S, Features, Default>> {
  using L = testing::Leaky<S, Features, Default>;
  using State = typename L::State;

  struct Tape {
    SequenceView<const S, Features> x;
    Tensor<S, Dynamic, Dynamic, Dynamic> before;  ///< h before every token
  };

  template <class Form>
  static void forward(const L& layer, const Form&, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    tape.x = x;
    tape.before = Tensor<S, Dynamic, Dynamic, Dynamic>(x.batch, x.time, x.features);
    for (Index b = 0; b < x.batch; ++b) {
      for (Index t = 0; t < x.length(b); ++t) {
        for (Index i = 0; i < x.features; ++i) {
          tape.before(b, t, i) = state.h(b, i);
          y.token(b, t)[i] = state.h(b, i) = layer.decay[i] * state.h(b, i) + x.token(b, t)[i];
        }
      }
    }
    clear_padding(x, y);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    dstate_start = dstate_end;
    for (Index b = 0; b < tape.x.batch; ++b) {
      for (Index t = tape.x.length(b) - 1; t >= 0; --t) {
        for (Index i = 0; i < dx.features; ++i) {
          S& dh = dstate_start.h(b, i);
          dh += dy.token(b, t)[i];
          dx.token(b, t)[i] = dh;
          gradient.decay[i] += dh * tape.before(b, t, i);
          dh *= layer.decay[i];
        }
      }
    }
    clear_padding(tape.x, dx);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
