#pragma once

#include <stepscan/layers/lssl.hpp>
#include <stepscan/ops/dense_chain_backward.hpp>
#include <stepscan/ops/linear_system_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The tape holds a view of x and the state the sequence started from; the backward pass is that of the chunk
/// operators, whatever form the forward pass had, then that of the doubling, then that of the discretisation. What the
/// features add to A and B is summed in their order.
template <Scalar S, Index Features, Index StateSize, Index Channels, class Default>
struct Training<Lssl<S, Features, StateSize, Channels, Default>> {
  using L = Lssl<S, Features, StateSize, Channels, Default>;
  using State = typename L::State;
  static constexpr Index Outputs = L::static_outputs;

  struct Tape {
    SequenceView<const S> x;
    State start;
    Index chunk = 0;
    Workspace workspace;
  };

  template <class Form>
  static void forward(const L& layer, const Form& form, State& state, SequenceView<const S, Features> x,
                      SequenceView<S, Outputs> y, Tape& tape) {
    tape.x = x;
    tape.start.h = state.h;
    tape.chunk = layer.chunk_of(form);
    if (x.batch > 0 && x.time > 0) layer.scan(state, x, y, tape.workspace, form);
  }

  static void backward(const L& layer, Tape& tape, SequenceView<const S, Outputs> dy, const State& dstate_end,
                       L& gradient, SequenceView<S, Features> dx, State& dstate_start) {
    Workspace& workspace = tape.workspace;
    const Workspace::Scope scope(workspace);
    dstate_start.h = dstate_end.h;
    const Index states = layer.states(), channels = layer.channels(), features = layer.input_size();
    const ChunkSystem<const S> operators = layer.operators(tape.chunk, workspace);
    const Index bytes = detail::LsslRoom<S>::bytes(states, channels), shared = states * (states + 1);
    const Index doubles = 2 * dense_operators_room(operators.shape) + shared + channels * (states + 1) +
                          detail::bilinear_backward_room(states, 1);
    std::byte* rooms = workspace.take<std::byte>(max_threads() * bytes);
    double* memory = workspace.take<double>(max_threads() * doubles);
    double* sums = workspace.take<double>(features * shared);
    std::fill_n(sums, features * shared, 0.0);
    linear_system_backward<S>(operators, tape.x, std::as_const(tape.start).view(), dy, dstate_start.view(), dx,
                              workspace, [&](Index f, const ChunkOperators<const S>& d, Index worker) {
                                const detail::LsslRoom<S> room(states, channels, rooms + worker * bytes);
                                pull_back(layer, f, room, operators.shape, d, sums + f * shared,
                                          memory + worker * doubles, gradient);
                              });
    for (Index f = 0; f < features; ++f) {
      const double* own = sums + f * shared;
      for (Index i = 0; i < states * states; ++i) gradient.A[i] += static_cast<S>(own[i]);
      for (Index n = 0; n < states; ++n) gradient.B[n] += static_cast<S>(own[states * states + n]);
    }
  }

 private:
  /// From the cotangents of a feature's operators to its parameters; those of A and B are added to `sums`.
  static void pull_back(const L& layer, Index f, const detail::LsslRoom<S>& room, const SystemShape& shape,
                        const ChunkOperators<const S>& d, double* sums, double* memory, L& gradient) {
    const Index states = layer.states(), channels = layer.channels();
    const DenseResponse system = layer.response(f, room);
    double* dA = memory;
    double* db = dA + states * states;
    double* dc = db + states;
    double* dskip = dc + channels * states;
    double* rest = dskip + channels;
    std::fill_n(memory, rest - memory, 0.0);
    dense_operators_backward<S>(system, shape, d, {dA, db, dc, dskip}, rest);
    const auto system_at = [&](double* at) {
      return DenseSystem<double>{{at, states, states}, {at + states * states, states, Index{1}}};
    };
    const double dt = layer.step_size(f);
    const double ddt =
        detail::bilinear_backward_in<double>(room.continuous(states), dt, bilinear.alpha, room.discrete(states),
                                             system_at(dA), system_at(sums), rest, room.swaps);
    gradient.log_dt[f] += static_cast<S>(ddt * dt);
    for (Index i = 0; i < channels * states; ++i) (&gradient.C(f, 0, 0))[i] += static_cast<S>(dc[i]);
    for (Index m = 0; m < channels; ++m) gradient.D(f, m) += static_cast<S>(dskip[m]);
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
