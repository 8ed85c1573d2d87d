#pragma once

#include <cmath>
#include <complex>
#include <stepscan/core/view.hpp>
#include <utility>
#include <vector>

/// Small dense systems of equations, real or complex, for what is worked out once: plans, fresh parameters. Plain loops
/// over rows, cheap to compile; large products belong to kernels/gemm.hpp.
namespace stepscan::inline STEPSCAN_ISA {

/// Numbers that systems are solved in.
template <class T>
concept FieldNumber = std::same_as<T, double> || std::same_as<T, std::complex<double>>;

/// conj(x), which is x itself when it is real.
[[nodiscard]] inline double conjugate(double x) noexcept { return x; }
[[nodiscard]] inline std::complex<double> conjugate(std::complex<double> x) noexcept { return std::conj(x); }

namespace detail {

/// y += a x for n numbers.
template <FieldNumber T>
void add_multiple(T a, const T* x, T* y, Index n) noexcept {
  for (Index j = 0; j < n; ++j) y[j] += a * x[j];
}

}  // namespace detail

/// C [m, n] += A [m, k] B [k, n]
template <FieldNumber T>
void plain_product_add(MatrixView<T> c, MatrixView<const T> a, MatrixView<const T> b) noexcept {
  for (Index i = 0; i < a.rows; ++i) {
    for (Index k = 0; k < a.cols; ++k) detail::add_multiple(a(i, k), b.row(k), c.row(i), c.cols);
  }
}

/// P M = L U with partial pivoting (Golub and Van Loan, "Matrix Computations", algorithm 3.4.1).
template <FieldNumber T>
class LuFactors {
 public:
  /// Throws ArgumentError when M [n, n] is singular or not finite.
  explicit LuFactors(MatrixView<const T> m)
      : size_(m.rows), factors_(static_cast<std::size_t>(size_ * size_)), order_(static_cast<std::size_t>(size_)) {
    for (Index i = 0; i < size_; ++i) {
      std::copy_n(m.row(i), size_, row(i));
      order_[static_cast<std::size_t>(i)] = i;
    }
    for (Index k = 0; k < size_; ++k) {
      bring_pivot_to(k);
      for (Index i = k + 1; i < size_; ++i) {
        row(i)[k] /= row(k)[k];
        detail::add_multiple(-row(i)[k], row(k) + k + 1, row(i) + k + 1, size_ - k - 1);
      }
    }
  }

  /// M^-1 X for X [n, columns].
  void solve(MatrixView<T> x) const {
    permute(x, [](Index i, Index from) { return std::pair{i, from}; });
    for (Index i = 0; i < size_; ++i) {
      for (Index k = 0; k < i; ++k) detail::add_multiple(-row(i)[k], x.row(k), x.row(i), x.cols);
    }
    for (Index i = size_ - 1; i >= 0; --i) {
      for (Index k = i + 1; k < size_; ++k) detail::add_multiple(-row(i)[k], x.row(k), x.row(i), x.cols);
      for (Index j = 0; j < x.cols; ++j) x(i, j) /= row(i)[i];
    }
  }

  /// M^-H X, of the conjugate transpose.
  void solve_adjoint(MatrixView<T> x) const {
    for (Index i = 0; i < size_; ++i) {
      for (Index k = 0; k < i; ++k) detail::add_multiple(-conjugate(row(k)[i]), x.row(k), x.row(i), x.cols);
      for (Index j = 0; j < x.cols; ++j) x(i, j) /= conjugate(row(i)[i]);
    }
    for (Index i = size_ - 1; i >= 0; --i) {
      for (Index k = i + 1; k < size_; ++k) detail::add_multiple(-conjugate(row(k)[i]), x.row(k), x.row(i), x.cols);
    }
    permute(x, [](Index i, Index from) { return std::pair{from, i}; });
  }

 private:
  [[nodiscard]] T* row(Index i) noexcept { return factors_.data() + i * size_; }
  [[nodiscard]] const T* row(Index i) const noexcept { return factors_.data() + i * size_; }

  void bring_pivot_to(Index k) {
    Index best = k;
    for (Index i = k + 1; i < size_; ++i) {
      if (std::abs(row(i)[k]) > std::abs(row(best)[k])) best = i;
    }
    if (!(std::abs(row(best)[k]) > 0)) {
      fail<ArgumentError>("expected a matrix that can be inverted, found no pivot for its column " + std::to_string(k));
    }
    if (best == k) return;
    std::swap_ranges(row(k), row(k) + size_, row(best));
    std::swap(order_[static_cast<std::size_t>(k)], order_[static_cast<std::size_t>(best)]);
  }

  /// Row `to` of the result is row `from` of x, where places(i, order of i) gives {to, from}.
  template <class Places>
  void permute(MatrixView<T> x, Places&& places) const {
    std::vector<T> copy(static_cast<std::size_t>(size_ * x.cols));
    for (Index i = 0; i < size_; ++i) std::copy_n(x.row(i), Index{x.cols}, copy.data() + i * x.cols);
    for (Index i = 0; i < size_; ++i) {
      const auto [to, from] = places(i, order_[static_cast<std::size_t>(i)]);
      std::copy_n(copy.data() + from * x.cols, Index{x.cols}, x.row(to));
    }
  }

  Index size_;
  std::vector<T> factors_;
  std::vector<Index> order_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
