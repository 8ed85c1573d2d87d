#pragma once

#include <Eigen/Core>
#include <Eigen/LU>
#include <stepscan/ops/discretize_dense.hpp>
#include <unsupported/Eigen/MatrixFunctions>

/// Zero-order hold of dense systems, by the exponential of a matrix (Eigen: scaling, squaring and Pade approximants,
/// Higham 2005), and the choice between it and the bilinear rules. A header of its own, for it takes seconds to
/// compile.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

template <FieldNumber T>
using FieldMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A view's numbers as a block of a larger matrix, and back.
template <FieldNumber T, class Block>
void set_block(Block&& block, MatrixView<const T> values) {
  for (Index i = 0; i < values.rows; ++i) {
    for (Index j = 0; j < values.cols; ++j) block(i, j) = values(i, j);
  }
}

/// [[A, B], [0, 0]]
template <FieldNumber T>
[[nodiscard]] FieldMatrix<T> held_system(const DenseSystem<const T>& system) {
  const Index n = system.A.rows, size = n + system.B.cols;
  FieldMatrix<T> e = FieldMatrix<T>::Zero(size, size);
  set_block<T>(e.topLeftCorner(n, n), system.A);
  set_block<T>(e.topRightCorner(n, size - n), system.B);
  return e;
}

}  // namespace detail

/// exp(dt [[A, B], [0, 0]]) = [[Abar, Bbar], [0, 1]], written to `bar`: exact also where A is singular. Throws
/// ShapeError.
template <FieldNumber T>
void discretize_hold(const DenseSystem<const T>& system, double dt, const DenseSystem<T>& bar) {
  detail::check_system("a system", system, system);
  detail::check_system("Abar and Bbar", bar, system);
  const detail::FieldMatrix<T> held = (detail::held_system<T>(system) * dt).exp();
  for (Index i = 0; i < bar.A.rows; ++i) {
    for (Index j = 0; j < bar.A.cols; ++j) bar.A(i, j) = held(i, j);
    for (Index j = 0; j < bar.B.cols; ++j) bar.B(i, j) = held(i, bar.A.cols + j);
  }
}

/// Its backward pass: with E = [[A, B], [0, 0]], G the cotangent of exp(dt E), and X the upper right block of
/// exp([[dt E^H, G], [0, dt E^H]]), adds dE = dt X to `gradient` and returns d dt = Re <X, E>.
template <FieldNumber T>
[[nodiscard]] double discretize_hold_backward(const DenseSystem<const T>& system, double dt,
                                              const DenseSystem<const T>& dbar, const DenseSystem<T>& gradient) {
  detail::check_system("cotangents of Abar and Bbar", dbar, system);
  detail::check_system("a gradient", gradient, system);
  const Index n = system.A.rows, size = n + system.B.cols;
  const detail::FieldMatrix<T> e = detail::held_system<T>(system);
  detail::FieldMatrix<T> both = detail::FieldMatrix<T>::Zero(2 * size, 2 * size);
  both.topLeftCorner(size, size) = dt * e.adjoint();
  both.bottomRightCorner(size, size) = dt * e.adjoint();
  both.topRightCorner(size, size) = detail::held_system<T>(dbar);
  const detail::FieldMatrix<T> raised = both.exp();
  const auto x = raised.topRightCorner(size, size);
  double slope = 0;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < size; ++j) {
      slope += std::real(conjugate(x(i, j)) * e(i, j));
      (j < n ? gradient.A(i, j) : gradient.B(i, j - n)) += dt * x(i, j);
    }
  }
  return slope;
}

/// Any rule.
template <FieldNumber T>
void discretize(const DenseSystem<const T>& system, double dt, const Discretization& rule, const DenseSystem<T>& bar) {
  if (rule.hold) {
    discretize_hold<T>(system, dt, bar);
  } else {
    discretize_bilinear<T>(system, dt, rule.alpha, bar);
  }
}

/// Adds to `gradient` and returns the cotangent of dt; `bar` holds the results of discretize, `dbar` their cotangents.
template <FieldNumber T>
[[nodiscard]] double discretize_backward(const DenseSystem<const T>& system, double dt, const Discretization& rule,
                                         const DenseSystem<const T>& bar, const DenseSystem<const T>& dbar,
                                         const DenseSystem<T>& gradient) {
  return rule.hold ? discretize_hold_backward<T>(system, dt, dbar, gradient)
                   : discretize_bilinear_backward<T>(system, dt, rule.alpha, bar, dbar, gradient);
}

}  // namespace stepscan::inline STEPSCAN_ISA
