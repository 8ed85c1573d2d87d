#pragma once

#include <stepscan/layers/diagonal_layer.hpp>
#include <stepscan/layers/linear_system_backward.hpp>
#include <stepscan/ops/diagonal_kernel_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// From the operators of a feature to its modes, and by Parameters::pull_back(layer, feature, cotangents, gradient)
/// from these to the parameters.
template <class L, class Parameters>
class DiagonalPullback {
  using S = typename L::scalar_type;

 public:
  DiagonalPullback(const L& layer, Index chunk, L& gradient, Workspace& workspace)
      : layer_(layer),
        chunk_(chunk),
        gradient_(gradient),
        system_(layer.system(workspace)),
        room_(diagonal_backward_room(system_.modes, chunk)),
        rooms_(workspace.take<double>(max_threads() * room_)) {}

  void operator()(Index f, const ChunkOperators<const S>& d, Index worker) const noexcept {
    Parameters::pull_back(layer_, f, diagonal_operators_backward<S>(system_, f, chunk_, d, rooms_ + worker * room_),
                          gradient_);
  }

  static void kernel(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    diagonal_kernel_backward<S>(layer.system(workspace), dkernel, workspace, [&](Index f, const ModeCotangents& g) {
      Parameters::pull_back(layer, f, g, gradient);
    });
  }

 private:
  const L& layer_;
  Index chunk_;
  L& gradient_;
  DiagonalSystem system_;
  Index room_;
  double* rooms_;
};

template <class L, class Parameters>
using DiagonalTraining = LinearSystemTraining<L, DiagonalPullback<L, Parameters>>;

}  // namespace stepscan::inline STEPSCAN_ISA::detail
