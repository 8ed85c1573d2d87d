#pragma once

#include <stepscan/layers/diagonal_mimo_layer.hpp>
#include <stepscan/ops/diagonal_mimo_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Training of a diagonal layer of many inputs and outputs. The tape holds the states of every token. Parameters
/// provides
///   pull_back(layer, p, mode cotangent, gradient)     from transition and weight of state p to its parameters
template <class L, class Parameters, bool BothWays = false>
struct DiagonalMimoTraining {
  using S = typename L::scalar_type;
  using State = typename L::State;
  static constexpr Index Features = L::static_inputs;
  static constexpr std::size_t directions = BothWays ? 2 : 1;

  struct Tape {
    SequenceView<const S> x;
    std::array<Tensor<S, Dynamic, Dynamic, Dynamic>, directions> h;  ///< [batch, time, 2 P]
    std::array<State, directions> start;
    ScanSchedule schedule;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Features> y, Tape& tape) {
    const Workspace::Scope scope(tape.workspace);
    tape.x = x;
    tape.schedule = schedule_of(form);
    for (auto& h : tape.h) resize(h, {x.batch, x.time, 2 * layer.state_size()});
    tape.start[0].h = state.h;
    layer.with_systems(tape.workspace, [&](const auto& systems) {
      diagonal_mimo_scan<S>(systems[0], Direction::forward, state.view(), x, y, tape.schedule, tape.workspace,
                            SequenceView<S>(tape.h[0]));
      if constexpr (BothWays) {
        tape.start[1].h = zeros_like(state.h);
        State behind = tape.start[1];
        diagonal_mimo_scan<S>(systems[1], Direction::backward, behind.view(), x, y, tape.schedule, tape.workspace,
                              SequenceView<S>(tape.h[1]));
      }
    });
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Features> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    dstate_start.h = dstate_end.h;
    const DiagonalMimoMatrices<S> all = layer.matrices(workspace);
    const Index states = layer.state_size();
    const auto zeros = [&](Index count) {
      S* memory = workspace.take<S>(count);
      std::fill_n(memory, count, S{0});
      return memory;
    };
    S* conjugate_a = workspace.take<S>(2 * states);
    for (Index p = 0; p < states; ++p) {
      conjugate_a[p] = all.a[0][p];
      conjugate_a[states + p] = -all.a[1][p];
    }
    const DiagonalMimoMatrices<S> cotangents{
        split_row<const S>(zeros(2 * states), states),
        {zeros(all.input.rows * all.input.cols), all.input.rows, all.input.cols},
        {zeros(all.output.rows * all.output.cols), all.output.rows, all.output.cols}};
    S* da = zeros(2 * states);
    const PanelsView<S> to_x = packed_transpose<S>(all.input, workspace);
    const S* none = zeros(2 * states);
    State behind;
    if constexpr (BothWays) behind.h = zeros_like(dstate_end.h);
    for (std::size_t k = 0; k < directions; ++k) {
      const Index at = static_cast<Index>(k) * 2 * states;
      const bool first = k == 0;
      const PanelsView<S> from_y = packed_transpose<S>(all.output_of(static_cast<Index>(k)), workspace);
      diagonal_mimo_backward<S>(
          {split_row<const S>(conjugate_a, states), from_y, to_x, first ? layer.D.data() : nullptr, none},
          first ? Direction::forward : Direction::backward, SequenceView<const S>(std::as_const(tape.h[k])),
          std::as_const(tape.start[k]).view(), tape.x, dy, first ? dstate_start.view() : behind.view(), dx,
          {split_row(da, states), cotangents.input, cotangents.output.middle_cols(at, 2 * states),
           first ? gradient.D.data() : nullptr},
          tape.schedule, workspace);
    }
    pull_back(layer, split_row<const S>(da, states), cotangents.input, cotangents.output, gradient);
  }

 private:
  /// From the cotangents of the discretised system, with input matrix w B and output matrix [f Re C, -f Im C].
  static void pull_back(const L& layer, const Planes<const S*, 2>& da, MatrixView<const S> dinput,
                        MatrixView<const S> doutput, L& gradient) {
    const Index states = layer.state_size(), features = layer.input_size();
    for (Index p = 0; p < states; ++p) {
      const std::complex<double> weight = layer.mode(p).input;
      DiscreteMode mode{{static_cast<double>(da[0][p]), static_cast<double>(da[1][p])}, 0};
      for (Index f = 0; f < features; ++f) {
        const std::complex<double> d(static_cast<double>(dinput(p, f)), static_cast<double>(dinput(states + p, f)));
        mode.input += std::conj(complex_at(layer.B, p, f)) * d;
        add_complex(gradient.B, std::conj(weight) * d, p, f);
      }
      Parameters::pull_back(layer, p, mode, gradient);
    }
    const double factor = layer.read_factor();
    for (Index f = 0; f < features; ++f) {
      for (Index p = 0; p < layer.C.re.extent(1); ++p) {
        const Index at = p / states * 2 * states + p % states;
        const std::complex<double> d(static_cast<double>(doutput(f, at)),
                                     -static_cast<double>(doutput(f, at + states)));
        add_complex(gradient.C, factor * d, f, p);
      }
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
