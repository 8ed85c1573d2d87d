#pragma once

#include <Eigen/Eigenvalues>
#include <complex>
#include <stepscan/ops/hippo.hpp>
#include <vector>

/// HiPPO systems as a normal matrix plus one of low rank ("Efficiently Modeling Long Sequences with Structured State
/// Spaces", arXiv 2111.00396, theorem 1). A header of its own, so that those who only infer compile no eigensolver.
namespace stepscan::inline STEPSCAN_ISA {

/// A = V (diag(lambda) - (V^H P^T) (V^H P^T)^H) V^H with V unitary.
struct NormalPlusLowRank {
  Tensor<double, Dynamic, Dynamic> normal;           ///< A + P^T P [size, size]
  Tensor<double, Dynamic, Dynamic> P;                ///< [rank, size]
  Tensor<std::complex<double>, Dynamic> lambda;      ///< [size], ascending by imaginary part
  Tensor<std::complex<double>, Dynamic, Dynamic> V;  ///< [size, size], an eigenvector per column, of any phase

  /// V^H x of a real vector [size].
  [[nodiscard]] std::vector<std::complex<double>> coordinates(const double* x) const {
    std::vector<std::complex<double>> c(static_cast<std::size_t>(lambda.size()));
    for (Index n = 0; n < lambda.size(); ++n) {
      for (Index i = 0; i < lambda.size(); ++i) c[static_cast<std::size_t>(i)] += std::conj(V(n, i)) * x[n];
    }
    return c;
  }
};

namespace detail {

/// The real skew-symmetric K = Q T Q^T with Q orthogonal and T tridiagonal, by Householder's reflections: for
/// H = I - tau v v^T and p = tau K v,   H K H = K + v p^T - p v^T.   K becomes T; returns Q.
inline Tensor<double, Dynamic, Dynamic> tridiagonalize_skew(Tensor<double, Dynamic, Dynamic>& K) {
  const Index n = K.extent(0);
  Tensor<double, Dynamic, Dynamic> Q(n, n);
  for (Index i = 0; i < n; ++i) Q(i, i) = 1;
  std::vector<double> v(static_cast<std::size_t>(n)), p = v;
  const auto at = [](std::vector<double>& x, Index i) -> double& { return x[static_cast<std::size_t>(i)]; };
  for (Index k = 0; k + 2 < n; ++k) {
    double square = 0;
    for (Index i = 0; i < n; ++i) {
      at(v, i) = i > k ? K(i, k) : 0;
      square += at(v, i) * at(v, i);
    }
    if (square == 0) continue;
    const double length = std::copysign(std::sqrt(square), at(v, k + 1));
    const double tau = 1 / (length * (length + at(v, k + 1)));
    at(v, k + 1) += length;
    for (Index i = 0; i < n; ++i) {
      double product = 0, moved = 0;
      for (Index j = k + 1; j < n; ++j) {
        product += K(i, j) * at(v, j);
        moved += Q(i, j) * at(v, j);
      }
      at(p, i) = tau * product;
      for (Index j = k + 1; j < n; ++j) Q(i, j) -= tau * moved * at(v, j);
    }
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) K(i, j) += at(v, i) * at(p, j) - at(p, i) * at(v, j);
    }
  }
  return Q;
}

}  // namespace detail

/// The normal-plus-low-rank form of a HiPPO system. The normal part S = A + P^T P is s I + K with K skew-symmetric, so
/// -i K = V diag(w) V^H is Hermitian and lambda = s + i w. (Never diagonalise A itself: the eigenvectors of LegS are
/// dependent to double precision at size 32.) With K = Q T Q^T and D = diag((-i)^n), D^H (-i T) D is real, symmetric
/// and tridiagonal, and its eigenvectors U give V = Q D U. Throws ArgumentError as hippo_low_rank does.
[[nodiscard]] inline NormalPlusLowRank hippo_normal(HippoMeasure measure, Index size, Index rank) {
  using Complex = std::complex<double>;
  NormalPlusLowRank form{hippo(measure, size).A, hippo_low_rank(measure, size, rank), Tensor<Complex, Dynamic>(size),
                         Tensor<Complex, Dynamic, Dynamic>(size, size)};
  for (Index n = 0; n < size; ++n) {
    for (Index k = 0; k < size; ++k) {
      for (Index r = 0; r < rank; ++r) form.normal(n, k) += form.P(r, n) * form.P(r, k);
    }
  }
  Tensor<double, Dynamic, Dynamic> T(size, size);
  for (Index n = 0; n < size; ++n) {
    for (Index k = 0; k < size; ++k) T(n, k) = (form.normal(n, k) - form.normal(k, n)) / 2;
  }
  const auto Q = detail::tridiagonalize_skew(T);

  const Eigen::VectorXd diagonal = Eigen::VectorXd::Zero(size);
  Eigen::VectorXd below(std::max<Index>(size - 1, 0));
  for (Index n = 0; n + 1 < size; ++n) below[n] = T(n + 1, n);
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  solver.computeFromTridiagonal(diagonal, below);
  const Eigen::MatrixXd& U = solver.eigenvectors();

  double shift = 0;
  for (Index n = 0; n < size; ++n) shift += form.normal(n, n) / static_cast<double>(size);
  constexpr Complex phases[4] = {{1, 0}, {0, -1}, {-1, 0}, {0, 1}};
  for (Index i = 0; i < size; ++i) {
    form.lambda[i] = {shift, solver.eigenvalues()[i]};
    for (Index n = 0; n < size; ++n) {
      Complex sum = 0;
      for (Index m = 0; m < size; ++m) sum += Q(n, m) * U(m, i) * phases[m % 4];
      form.V(n, i) = sum;
    }
  }
  return form;
}

}  // namespace stepscan::inline STEPSCAN_ISA
