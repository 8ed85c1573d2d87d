#pragma once

#include <stepscan/layers/linear_system_backward.hpp>
#include <stepscan/ops/dense_operators_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// From the operators of a feature to its dense system, and from this by
///   Parameters::pull_back(layer, feature, cotangents, room, gradient)
/// to the parameters; Parameters::room(layer) doubles are free there. The layer provides dense_size(), dense_system(f,
/// to) and system_shape(chunk).
template <class L, class Parameters>
class DensePullback {
  using S = typename L::scalar_type;

 public:
  DensePullback(const L& layer, Index chunk, L& gradient, Workspace& workspace)
      : layer_(layer),
        shape_(layer.system_shape(chunk)),
        gradient_(gradient),
        tables_(DenseOperatorsRoom::size(shape_.states, shape_.channels, chunk)),
        sums_(DensePullbackRoom::size(shape_.states, shape_.channels, chunk)),
        size_(tables_ + sums_ + layer.dense_size() + Parameters::room(layer)),
        rooms_(workspace.take<double>(max_threads() * size_)) {}

  void operator()(Index f, const ChunkOperators<const S>& d, Index worker) const noexcept {
    double* own = rooms_ + worker * size_;
    double* system_room = own + tables_ + sums_;
    const DenseResponse system = layer_.dense_system(f, system_room);
    const DensePullbackRoom room(shape_.states, shape_.channels, shape_.chunk, own + tables_);
    dense_operators_backward<S>(system, shape_.chunk, d,
                                DenseOperatorsRoom(shape_.states, shape_.channels, shape_.chunk, own), room);
    Parameters::pull_back(layer_, f, room.sum, system_room + layer_.dense_size(), gradient_);
  }

  static void kernel(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    if (dkernel.cols == 0) return;
    double* rooms = workspace.take<double>(max_threads() * Parameters::room(layer));
    dense_kernel_backward<S>(
        layer.system_shape(kernel_columns), dkernel, layer.dense_size(), workspace,
        [&](Index f, double* to) { return layer.dense_system(f, to); },
        [&](Index f, const DenseResponse&, const DenseCotangents& g, Index worker) {
          Parameters::pull_back(layer, f, g, rooms + worker * Parameters::room(layer), gradient);
        });
  }

 private:
  const L& layer_;
  SystemShape shape_;
  L& gradient_;
  Index tables_;
  Index sums_;
  Index size_;
  double* rooms_;
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
