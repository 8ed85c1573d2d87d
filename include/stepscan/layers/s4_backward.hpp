#pragma once

#include <stepscan/layers/linear_system_backward.hpp>
#include <stepscan/layers/s4.hpp>
#include <stepscan/ops/dplr_backward.hpp>
#include <stepscan/ops/dplr_operators_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// From the operators of a feature to its vectors, and from these to the parameters.
template <class L>
class S4Pullback {
  using S = typename L::scalar_type;

 public:
  S4Pullback(const L& layer, Index chunk, L& gradient, Workspace& workspace)
      : layer_(layer),
        chunk_(chunk),
        gradient_(gradient),
        size_(size(layer, chunk)),
        rooms_(workspace.take<double>(max_threads() * size_)) {}

  void operator()(Index f, const ChunkOperators<const S>& d, Index worker) const noexcept {
    pull(layer_, f, chunk_, rooms_ + worker * size_, gradient_,
         [&](const DplrVectors& v, const DplrOperatorsRoom& tables, const DplrPullbackRoom& room) {
           dplr_operators_backward<S>(v, chunk_, d, tables, room);
         });
  }

  static void kernel(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    constexpr Index chunk = kernel_columns;
    const Index features = layer.input_size(), length = dkernel.cols;
    const Index room_size = size(layer, chunk), own_size = room_size + chunk_count(length, chunk) * layer.states();
    const Index workers = worker_count(features, features * length * layer.states());
    double* rooms = workspace.take<double>(workers * own_size);
    for_each_share(features, workers, [&](Index f, Index worker) {
      double* own = rooms + worker * own_size;
      pull(layer, f, chunk, own, gradient,
           [&](const DplrVectors& v, const DplrOperatorsRoom& tables, const DplrPullbackRoom& room) {
             dplr_kernel_backward<S>(v, dkernel.row(f), length, chunk, own + room_size, tables, room);
           });
    });
  }

 private:
  [[nodiscard]] static Index size(const L& layer, Index chunk) noexcept {
    return DplrOperatorsRoom::size(layer.modes(), chunk) + DplrPullbackRoom::size(layer.modes(), chunk);
  }

  template <class Backward>
  static void pull(const L& layer, Index f, Index chunk, double* memory, L& gradient,
                   const Backward& backward) noexcept {
    const Index modes = layer.modes();
    const DplrOperatorsRoom tables(modes, chunk, memory);
    const DplrPullbackRoom room(modes, chunk, memory + DplrOperatorsRoom::size(modes, chunk));
    backward(layer.vectors(f, tables.vectors), tables, room);
    const double h = layer.half_step(f);
    const double dh = dplr_vectors_backward(
        modes, h, [&](Index n) { return layer.mode(f, n); }, room.sum,
        [&](Index n, const DplrMode& d) {
          add_complex(gradient.Lambda, d.lambda, f, n);
          add_complex(gradient.P, d.p, f, n);
          add_complex(gradient.B, d.b, f, n);
          add_complex(gradient.C, d.c, f, n);
        });
    gradient.log_dt[f] += static_cast<S>(h * dh);
    gradient.D[f] += static_cast<S>(*room.skip);
  }

  const L& layer_;
  Index chunk_;
  L& gradient_;
  Index size_;
  double* rooms_;
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, class Default>
struct Training<S4<S, Features, StateSize, Default>>
    : detail::LinearSystemTraining<S4<S, Features, StateSize, Default>,
                                   detail::S4Pullback<S4<S, Features, StateSize, Default>>> {};

}  // namespace stepscan::inline STEPSCAN_ISA
