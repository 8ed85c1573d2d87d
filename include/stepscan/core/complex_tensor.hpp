#pragma once

#include <complex>
#include <stepscan/core/fields.hpp>
#include <stepscan/core/tensor.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA {

/// A tensor of complex numbers: its real parts and its imaginary parts, named re and im in files.
template <class T, Index... Dims>
struct ComplexTensor {
  Tensor<T, Dims...> re;
  Tensor<T, Dims...> im;

  static constexpr auto fields() {
    return std::tuple{Field{"re", &ComplexTensor::re}, Field{"im", &ComplexTensor::im}};
  }

  ComplexTensor() = default;
  template <std::convertible_to<Index>... Sizes>
  explicit ComplexTensor(Sizes... sizes) requires(sizeof...(Sizes) > 0) : re(sizes...), im(sizes...) {}

  [[nodiscard]] bool empty() const noexcept { return re.empty(); }
};

namespace detail {

/// One number of a complex tensor, in double.
template <class Tensors, class... At>
[[nodiscard]] std::complex<double> complex_at(const Tensors& tensor, At... at) noexcept {
  return {static_cast<double>(tensor.re(at...)), static_cast<double>(tensor.im(at...))};
}

/// Adds to one number of a complex tensor.
template <class Tensors, class... At>
void add_complex(Tensors& tensor, std::complex<double> value, At... at) noexcept {
  using S = typename std::remove_cvref_t<decltype(tensor.re)>::value_type;
  tensor.re(at...) += static_cast<S>(value.real());
  tensor.im(at...) += static_cast<S>(value.imag());
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
