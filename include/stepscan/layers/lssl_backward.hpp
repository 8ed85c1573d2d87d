#pragma once

#include <stepscan/layers/dense_system_backward.hpp>
#include <stepscan/layers/lssl.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Through the discretisation to C, D and the step size of the feature, and to A and B, which all features share.
struct LsslParameters {
  template <class L>
  [[nodiscard]] static Index room(const L& layer) noexcept {
    return bilinear_backward_room(layer.states(), 1) + layer.states() * layer.states();
  }
  template <class L>
  [[nodiscard]] static Index shared_room(const L& layer) noexcept {
    return layer.states() * (layer.states() + 1);
  }

  template <class L>
  static void pull_back(const L& layer, Index f, const DenseCotangents& g, const DenseFeatureMemory& memory,
                        L& gradient) noexcept {
    using S = typename L::scalar_type;
    const Index states = layer.states(), channels = layer.channels();
    const LsslSystemRoom room(states, channels, memory.system);
    const MatrixView<double> dAbar(memory.free, states, states);
    transpose<double>({g.transposed, states, states}, dAbar);
    const double dt = layer.step_size(f);
    const double ddt = bilinear_backward_in<double>(
        room.continuous(), dt, bilinear.alpha, room.discrete(),
        DenseSystem<const double>{dAbar, {g.b, states, Index{1}}},
        {{memory.shared, states, states}, {memory.shared + states * states, states, Index{1}}}, dAbar.row(states),
        room.swaps);
    gradient.log_dt[f] += static_cast<S>(ddt * dt);
    for (Index i = 0; i < channels * states; ++i) (&gradient.C(f, 0, 0))[i] += static_cast<S>(g.c[i]);
    for (Index m = 0; m < channels; ++m) gradient.D(f, m) += static_cast<S>(g.skip[m]);
  }

  template <class L>
  static void add_shared(const L& layer, const double* shared, L& gradient) noexcept {
    using S = typename L::scalar_type;
    const Index size = layer.states() * layer.states();
    for (Index i = 0; i < size; ++i) gradient.A[i] += static_cast<S>(shared[i]);
    for (Index n = 0; n < layer.states(); ++n) gradient.B[n] += static_cast<S>(shared[size + n]);
  }
};

}  // namespace detail

template <Scalar S, Index Features, Index StateSize, Index Channels, class Default>
struct Training<Lssl<S, Features, StateSize, Channels, Default>>
    : detail::DenseTraining<Lssl<S, Features, StateSize, Channels, Default>, detail::LsslParameters> {};

}  // namespace stepscan::inline STEPSCAN_ISA
