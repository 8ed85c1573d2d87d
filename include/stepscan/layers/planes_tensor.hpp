#pragma once

#include <stepscan/core/complex_tensor.hpp>
#include <stepscan/core/scalar.hpp>
#include <stepscan/scan/planes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// A tensor of real (P = 1) or complex (P = 2) numbers.
template <std::size_t P, Scalar S, Index... Dims>
using PlanesTensor = std::conditional_t<P == 1, Tensor<S, Dims...>, ComplexTensor<S, Dims...>>;

/// The first numbers of a tensor's planes.
template <class T, Index... Dims>
[[nodiscard]] Planes<T*, 1> planes_data(Tensor<T, Dims...>& x) noexcept {
  return {x.data()};
}
template <class T, Index... Dims>
[[nodiscard]] Planes<T*, 2> planes_data(ComplexTensor<T, Dims...>& x) noexcept {
  return {x.re.data(), x.im.data()};
}

/// A tensor's planes as matrices.
template <class T, Index R, Index C>
[[nodiscard]] Planes<MatrixView<const T>, 1> planes_view(const Tensor<T, R, C>& x) noexcept {
  return {x};
}
template <class T, Index R, Index C>
[[nodiscard]] Planes<MatrixView<const T>, 2> planes_view(const ComplexTensor<T, R, C>& x) noexcept {
  return {x.re, x.im};
}
template <class T, Index R, Index C>
[[nodiscard]] Planes<MatrixView<T>, 1> planes_view(Tensor<T, R, C>& x) noexcept {
  return {x};
}
template <class T, Index R, Index C>
[[nodiscard]] Planes<MatrixView<T>, 2> planes_view(ComplexTensor<T, R, C>& x) noexcept {
  return {x.re, x.im};
}

}  // namespace stepscan::inline STEPSCAN_ISA
