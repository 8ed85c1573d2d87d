#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <stepscan/core/view.hpp>

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

/// P M = L U with partial pivoting (Golub and Van Loan, "Matrix Computations", algorithm 3.4.1), in memory of the
/// caller's.
template <FieldNumber T>
class LuFactors {
 public:
  /// Factors M [n, n] in place; `swaps` [n] takes the exchanges of rows. Of a singular matrix some factors are not
  /// finite.
  LuFactors(MatrixView<T> m, Index* swaps) noexcept : m_(m), swaps_(swaps) {
    for (Index k = 0; k < size(); ++k) {
      bring_pivot_to(k);
      for (Index i = k + 1; i < size(); ++i) {
        m_(i, k) /= m_(k, k);
        detail::add_multiple(-m_(i, k), m_.row(k) + k + 1, m_.row(i) + k + 1, size() - k - 1);
      }
    }
  }

  /// Whether M has no inverse, or is not finite.
  [[nodiscard]] bool is_singular() const noexcept { return singular_; }

  /// M^-1 X for X [n, columns].
  void solve(MatrixView<T> x) const noexcept {
    for (Index i = 0; i < size(); ++i) swap_rows(x, i, swaps_[i]);
    for (Index i = 0; i < size(); ++i) {
      for (Index k = 0; k < i; ++k) detail::add_multiple(-m_(i, k), x.row(k), x.row(i), x.cols);
    }
    for (Index i = size() - 1; i >= 0; --i) {
      for (Index k = i + 1; k < size(); ++k) detail::add_multiple(-m_(i, k), x.row(k), x.row(i), x.cols);
      for (Index j = 0; j < x.cols; ++j) x(i, j) /= m_(i, i);
    }
  }

  /// M^-H X, of the conjugate transpose.
  void solve_adjoint(MatrixView<T> x) const noexcept {
    for (Index i = 0; i < size(); ++i) {
      for (Index k = 0; k < i; ++k) detail::add_multiple(-conjugate(m_(k, i)), x.row(k), x.row(i), x.cols);
      for (Index j = 0; j < x.cols; ++j) x(i, j) /= conjugate(m_(i, i));
    }
    for (Index i = size() - 1; i >= 0; --i) {
      for (Index k = i + 1; k < size(); ++k) detail::add_multiple(-conjugate(m_(k, i)), x.row(k), x.row(i), x.cols);
    }
    for (Index i = size() - 1; i >= 0; --i) swap_rows(x, i, swaps_[i]);
  }

 private:
  [[nodiscard]] Index size() const noexcept { return m_.rows; }

  static void swap_rows(const MatrixView<T>& x, Index i, Index k) noexcept {
    if (i != k) std::swap_ranges(x.row(i), x.row(i) + x.cols, x.row(k));
  }

  void bring_pivot_to(Index k) noexcept {
    Index best = k;
    for (Index i = k + 1; i < size(); ++i) {
      if (std::abs(m_(i, k)) > std::abs(m_(best, k))) best = i;
    }
    singular_ = singular_ || !(std::abs(m_(best, k)) > 0);
    swaps_[k] = best;
    swap_rows(m_, k, best);
  }

  MatrixView<T> m_;
  Index* swaps_;
  bool singular_ = false;
};

}  // namespace stepscan::inline STEPSCAN_ISA
