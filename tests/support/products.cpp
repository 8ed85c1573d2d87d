#include "support/products.hpp"

namespace stepscan::inline STEPSCAN_ISA {

template void gemm_add(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
template void gemm_add(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);
template void gemm_add_left_transposed(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
template void gemm_add_left_transposed(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);
template void gemm_add_right_transposed(MatrixView<float>, MatrixView<const float>, MatrixView<const float>);
template void gemm_add_right_transposed(MatrixView<double>, MatrixView<const double>, MatrixView<const double>);

template void small_multiply(const Factor<float>&, MatrixView<const float>, MatrixView<float>, ProductBase<float>, Part,
                             Part) noexcept;
template void small_multiply(const Factor<double>&, MatrixView<const double>, MatrixView<double>, ProductBase<double>,
                             Part, Part) noexcept;

namespace detail {

template void multiply_row(PanelsView<float, Dynamic, Dynamic, float>, const float*, const float*, float*,
                           bool) noexcept;
template void multiply_row(PanelsView<double, Dynamic, Dynamic, double>, const double*, const double*, double*,
                           bool) noexcept;
template void multiply_rows<1>(PanelsView<float, Dynamic, Dynamic, float>, MatrixView<const float>,
                               MatrixView<const float>, MatrixView<float>) noexcept;
template void multiply_rows<1>(PanelsView<double, Dynamic, Dynamic, double>, MatrixView<const double>,
                               MatrixView<const double>, MatrixView<double>) noexcept;

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
