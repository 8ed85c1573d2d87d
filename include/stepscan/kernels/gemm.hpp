#pragma once

#include <Eigen/Core>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/view.hpp>

/// Large matrix products by Eigen, for backward passes: the only header of kernels/ that includes Eigen. All add to C,
/// which must not overlap A or B, run on the calling thread, and may allocate. The bits of C depend on the sizes alone.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <class T>
using EigenMatrix = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
using EigenMap = Eigen::Map<std::conditional_t<std::is_const_v<T>, const EigenMatrix<T>, EigenMatrix<T>>,
                            Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
[[nodiscard]] EigenMap<T> eigen_map(MatrixView<T> view) {
  return {view.data, view.rows, view.cols, Eigen::OuterStride<>(view.stride)};
}

/// Keeps Eigen on the calling thread: its own blocking, and so the order of its sums, follows the number of threads.
class OneThread {
 public:
  OneThread() noexcept { set_max_threads(1); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() { set_max_threads(before_); }

 private:
  int before_ = max_threads();
};

}  // namespace detail

/// C [m, n] += A [m, k] B [k, n]
template <Scalar S>
void gemm_add(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.rows && a.cols == b.rows && c.cols == b.cols);
  const detail::OneThread guard;
  detail::eigen_map(c).noalias() += detail::eigen_map(a) * detail::eigen_map(b);
}

/// C [m, n] += A^T B with A [k, m] and B [k, n]
template <Scalar S>
void gemm_add_left_transposed(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.cols && a.rows == b.rows && c.cols == b.cols);
  const detail::OneThread guard;
  detail::eigen_map(c).noalias() += detail::eigen_map(a).transpose() * detail::eigen_map(b);
}

/// C [m, n] += A B^T with A [m, k] and B [n, k]
template <Scalar S>
void gemm_add_right_transposed(MatrixView<S> c, MatrixView<const S> a, MatrixView<const S> b) {
  STEPSCAN_ASSERT(c.rows == a.rows && a.cols == b.cols && c.cols == b.rows);
  const detail::OneThread guard;
  detail::eigen_map(c).noalias() += detail::eigen_map(a) * detail::eigen_map(b).transpose();
}

}  // namespace stepscan::inline STEPSCAN_ISA
