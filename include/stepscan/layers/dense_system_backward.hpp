#pragma once

#include <stepscan/layers/linear_system_backward.hpp>
#include <stepscan/ops/dense_operators_backward.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Doubles for the way from the cotangents of a feature's system to the parameters.
struct DenseFeatureMemory {
  double* system;  ///< of dense_system, as it left them
  double* free;
  double* shared;
};

/// From the operators of a feature to its dense system, and from this by
///   Parameters::pull_back(layer, feature, cotangents, memory, gradient)
/// to the parameters; memory.free has Parameters::room(layer) doubles. Where features have parameters in common,
/// Parameters::shared_room(layer) zeros are in memory.shared for what one of them adds, and finish() calls
///   Parameters::add_shared(layer, shared, gradient)
/// for one after another, so that threads change no sum. The layer provides dense_size(), dense_system(f, to) and
/// system_shape(chunk).
template <class L, class Parameters>
class DensePullback {
  using S = typename L::scalar_type;
  static constexpr bool shares = requires(const L& layer) { Parameters::shared_room(layer); };

 public:
  DensePullback(const L& layer, Index chunk, L& gradient, Workspace& workspace)
      : layer_(layer),
        shape_(layer.system_shape(chunk)),
        gradient_(gradient),
        tables_(DenseOperatorsRoom::size(shape_.states, shape_.channels, chunk)),
        sums_(DensePullbackRoom::size(shape_.states, shape_.channels, chunk)),
        size_(tables_ + sums_ + layer.dense_size() + Parameters::room(layer)),
        rooms_(workspace.take<double>(max_threads() * size_)) {
    if constexpr (shares) {
      shared_size_ = Parameters::shared_room(layer);
      shared_ = workspace.take<double>(shape_.features * shared_size_);
      std::fill_n(shared_, shape_.features * shared_size_, 0.0);
    }
  }

  void operator()(Index f, const ChunkOperators<const S>& d, Index worker) const noexcept {
    double* own = rooms_ + worker * size_;
    double* system_room = own + tables_ + sums_;
    const DenseResponse system = layer_.dense_system(f, system_room);
    const DensePullbackRoom room(shape_.states, shape_.channels, shape_.chunk, own + tables_);
    dense_operators_backward<S>(system, shape_.chunk, d,
                                DenseOperatorsRoom(shape_.states, shape_.channels, shape_.chunk, own), room);
    pull_back(f, room.sum, system_room, worker);
  }

  /// Adds what all features gave to the parameters they share, in their order.
  void finish() const noexcept {
    if constexpr (shares) {
      for (Index f = 0; f < shape_.features; ++f) {
        Parameters::add_shared(layer_, shared_ + f * shared_size_, gradient_);
      }
    }
  }

  static void kernel(const L& layer, MatrixView<const S> dkernel, L& gradient, Workspace& workspace) {
    if (dkernel.cols == 0) return;
    const DensePullback pullback(layer, kernel_columns, gradient, workspace);
    dense_kernel_backward<S>(
        pullback.shape_, dkernel, layer.dense_size(), workspace,
        [&](Index f, double* to) { return layer.dense_system(f, to); },
        [&](Index f, double* system, const DenseCotangents& g, Index worker) {
          pullback.pull_back(f, g, system, worker);
        });
    pullback.finish();
  }

 private:
  void pull_back(Index f, const DenseCotangents& g, double* system, Index worker) const noexcept {
    double* free = rooms_ + worker * size_ + tables_ + sums_ + layer_.dense_size();
    Parameters::pull_back(layer_, f, g, DenseFeatureMemory{system, free, shared_ + f * shared_size_}, gradient_);
  }

  const L& layer_;
  SystemShape shape_;
  L& gradient_;
  Index tables_;
  Index sums_;
  Index size_;
  double* rooms_;
  Index shared_size_ = 0;
  double* shared_ = nullptr;
};

template <class L, class Parameters>
using DenseTraining = LinearSystemTraining<L, DensePullback<L, Parameters>>;

}  // namespace stepscan::inline STEPSCAN_ISA::detail
