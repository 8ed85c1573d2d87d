#pragma once

#include <stepscan/kernels/gemm.hpp>
#include <stepscan/kernels/panels.hpp>
#include <stepscan/kernels/small_product.hpp>

/// The matrix products of nearly every layer, compiled once for all tests, in products.cpp.
namespace stepscan::inline STEPSCAN_ISA {

extern template void gemm_add(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
extern template void gemm_add(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);
extern template void gemm_add_left_transposed(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
extern template void gemm_add_left_transposed(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);
extern template void gemm_add_right_transposed(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
extern template void gemm_add_right_transposed(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);

extern template void small_multiply(const Factor<float>&, MatrixView<const float>, MatrixView<float>,
                                    ProductBase<float>, Part, Part) noexcept;
extern template void small_multiply(const Factor<double>&, MatrixView<const double>, MatrixView<double>,
                                    ProductBase<double>, Part, Part) noexcept;

namespace detail {

extern template void multiply_row(PanelsView<float, Dynamic, Dynamic, float>, const float*, const float*, float*,
                                  bool) noexcept;
extern template void multiply_row(PanelsView<double, Dynamic, Dynamic, double>, const double*, const double*, double*,
                                  bool) noexcept;
extern template void multiply_rows<1>(PanelsView<float, Dynamic, Dynamic, float>, MatrixView<const float>,
                                      MatrixView<const float>, MatrixView<float>) noexcept;
extern template void multiply_rows<1>(PanelsView<double, Dynamic, Dynamic, double>, MatrixView<const double>,
                                      MatrixView<const double>, MatrixView<double>) noexcept;

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
