#pragma once

#include <stepscan/layers/linear_system_backward.hpp>
#include <stepscan/layers/lssl.hpp>
#include <stepscan/ops/dense_operators_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// From the operators of a feature to its dense system, through the discretisation and to the parameters. What a
/// feature adds to A and B waits in `shared` for its turn.
template <class L>
class LsslPullback {
  using S = typename L::scalar_type;

 public:
  LsslPullback(const L& layer, Index chunk, L& gradient, Workspace& workspace)
      : layer_(layer), shape_(layer.system_shape(chunk)), gradient_(gradient) {
    rooms_ = workspace.take<double>(max_threads() * size());
    shared_ = workspace.take<double>(shape_.features * shared_size());
    std::fill_n(shared_, shape_.features * shared_size(), 0.0);
  }

  void operator()(Index f, const ChunkOperators<const S>& d, Index worker) const noexcept {
    double* tables = rooms_ + worker * size();
    double* sums = tables + tables_size();
    double* own = sums + sums_size();
    const DenseResponse system = layer_.dense_system(f, own);
    const DensePullbackRoom room(shape_.states, shape_.channels, shape_.chunk, sums);
    dense_operators_backward<S>(system, shape_.chunk, d,
                                DenseOperatorsRoom(shape_.states, shape_.channels, shape_.chunk, tables), room);
    pull_back(f, room.sum, own, own + layer_.dense_size());
  }

  /// Adds what all features gave to A and B, in their order.
  void finish() const noexcept {
    const Index states = shape_.states;
    for (Index f = 0; f < shape_.features; ++f) {
      const double* own = shared_ + f * shared_size();
      for (Index i = 0; i < states * states; ++i) gradient_.A[i] += static_cast<S>(own[i]);
      for (Index n = 0; n < states; ++n) gradient_.B[n] += static_cast<S>(own[states * states + n]);
    }
  }

 private:
  [[nodiscard]] Index tables_size() const noexcept {
    return DenseOperatorsRoom::size(shape_.states, shape_.channels, shape_.chunk);
  }
  [[nodiscard]] Index sums_size() const noexcept {
    return DensePullbackRoom::size(shape_.states, shape_.channels, shape_.chunk);
  }
  [[nodiscard]] Index shared_size() const noexcept { return shape_.states * (shape_.states + 1); }
  [[nodiscard]] Index size() const noexcept {
    return tables_size() + sums_size() + layer_.dense_size() + bilinear_backward_room(shape_.states, 1) +
           shape_.states * shape_.states;
  }

  void pull_back(Index f, const DenseCotangents& g, double* own, double* rest) const noexcept {
    const Index states = shape_.states, channels = shape_.channels;
    const LsslSystemRoom room(states, channels, own);
    const MatrixView<double> dAbar(rest, states, states);
    transpose<double>({g.transposed, states, states}, dAbar);
    double* shared = shared_ + f * shared_size();
    const double dt = layer_.step_size(f);
    const double ddt = bilinear_backward_in<double>(
        room.continuous(), dt, bilinear.alpha, room.discrete(),
        DenseSystem<const double>{dAbar, {g.b, states, Index{1}}},
        {{shared, states, states}, {shared + states * states, states, Index{1}}}, dAbar.row(states), room.swaps);
    gradient_.log_dt[f] += static_cast<S>(ddt * dt);
    for (Index i = 0; i < channels * states; ++i) (&gradient_.C(f, 0, 0))[i] += static_cast<S>(g.c[i]);
    for (Index m = 0; m < channels; ++m) gradient_.D(f, m) += static_cast<S>(g.skip[m]);
  }

  const L& layer_;
  SystemShape shape_;
  L& gradient_;
  double* rooms_ = nullptr;
  double* shared_ = nullptr;
};

}  // namespace detail

/// Forward as all linear systems; the features' shares of A and B are summed when all are there.
template <Scalar S, Index Features, Index StateSize, Index Channels, class Default>
struct Training<Lssl<S, Features, StateSize, Channels, Default>>
    : detail::LinearSystemTraining<Lssl<S, Features, StateSize, Channels, Default>,
                                   detail::LsslPullback<Lssl<S, Features, StateSize, Channels, Default>>> {
  using L = Lssl<S, Features, StateSize, Channels, Default>;
  using Base = detail::LinearSystemTraining<L, detail::LsslPullback<L>>;
  using Tape = typename Base::Tape;
  using State = typename L::State;

  static void backward(const L& layer, Tape& tape, typename Base::Outputs dy, const State& dstate_end, L& gradient,
                       SequenceView<S, Features> dx, State& dstate_start) {
    const Workspace::Scope scope(tape.workspace);
    dstate_start.h = dstate_end.h;
    const ChunkSystem<const S> operators = layer.operators(tape.chunk, tape.workspace);
    const detail::LsslPullback<L> pullback(layer, tape.chunk, gradient, tape.workspace);
    linear_system_backward<S>(operators, tape.x, std::as_const(tape.start).view(), dy, dstate_start.view(), dx,
                              tape.workspace, pullback);
    pullback.finish();
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
