#pragma once

#include <stepscan/kernels/lu.hpp>
#include <stepscan/ops/discretize.hpp>

/// Discretisation of dense systems h' = A h + B u, real or complex, A [n, n] and B [n, inputs]; zero-order hold:
/// ops/discretize_hold.hpp.
namespace stepscan::inline STEPSCAN_ISA {

/// A and B of a system, or their cotangents.
template <class T>
struct DenseSystem {
  MatrixView<T> A;
  MatrixView<T> B;

  operator DenseSystem<const T>() const noexcept requires(!std::is_const_v<T>) { return {A, B}; }
};

namespace detail {

/// Throws ShapeError unless A is [n, n] and B [n, inputs] as that of `like`.
template <class T, class U>
void check_system(const char* what, const DenseSystem<T>& system, const DenseSystem<U>& like) {
  const Index n = like.A.rows, inputs = like.B.cols;
  if (system.A.rows == n && system.A.cols == n && system.B.rows == n && system.B.cols == inputs) return;
  fail<ShapeError>(std::string("discretize: expected ") + what + " of shapes " + shape_text({n, n}) + " and " +
                   shape_text({n, inputs}) + ", found " + shape_text({Index{system.A.rows}, Index{system.A.cols}}) +
                   " and " + shape_text({Index{system.B.rows}, Index{system.B.cols}}));
}

/// to = identity + factor A
template <FieldNumber T>
void shifted_identity(double factor, MatrixView<const T> a, MatrixView<T> to) noexcept {
  for (Index i = 0; i < a.rows; ++i) {
    for (Index j = 0; j < a.cols; ++j) to(i, j) = factor * a(i, j) + (i == j ? 1.0 : 0.0);
  }
}

/// M = I - alpha dt A
template <FieldNumber T>
[[nodiscard]] LuFactors<T> bilinear_denominator(MatrixView<const T> a, double dt, double alpha) {
  std::vector<T> memory(static_cast<std::size_t>(a.rows * a.cols));
  const MatrixView<T> m(memory.data(), Index{a.rows}, Index{a.cols});
  shifted_identity<T>(-alpha * dt, a, m);
  return LuFactors<T>(m);
}

/// Re <a, b> = Re sum conj(a) b
template <FieldNumber T>
[[nodiscard]] double real_product(MatrixView<const T> a, MatrixView<const T> b) noexcept {
  double sum = 0;
  for (Index i = 0; i < a.rows; ++i) {
    for (Index j = 0; j < a.cols; ++j) sum += std::real(conjugate(a(i, j)) * b(i, j));
  }
  return sum;
}

/// to += factor X Y^H
template <FieldNumber T>
void add_adjoint_product(double factor, MatrixView<const T> x, MatrixView<const T> y, MatrixView<T> to) noexcept {
  for (Index i = 0; i < x.rows; ++i) {
    for (Index j = 0; j < y.rows; ++j) {
      T sum{};
      for (Index k = 0; k < x.cols; ++k) sum += x(i, k) * conjugate(y(j, k));
      to(i, j) += factor * sum;
    }
  }
}

}  // namespace detail

/// The generalised bilinear rule: Abar = M^-1 (I + (1 - alpha) dt A), Bbar = dt M^-1 B, M = I - alpha dt A, written to
/// `bar`. Throws ShapeError, and ArgumentError when M is singular.
template <FieldNumber T>
void discretize_bilinear(const DenseSystem<const T>& system, double dt, double alpha, const DenseSystem<T>& bar) {
  detail::check_system("a system", system, system);
  detail::check_system("Abar and Bbar", bar, system);
  detail::shifted_identity<T>((1 - alpha) * dt, system.A, bar.A);
  for (Index i = 0; i < bar.B.rows; ++i) {
    for (Index j = 0; j < bar.B.cols; ++j) bar.B(i, j) = dt * system.B(i, j);
  }
  const auto m = detail::bilinear_denominator<T>(system.A, dt, alpha);
  m.solve(bar.A);
  m.solve(bar.B);
}

/// Its backward pass: `bar` holds its results, `dbar` their cotangents G and g. With Z = M^-H G, z = M^-H g
///   dA = alpha dt (Z Abar^H + z Bbar^H) + (1 - alpha) dt Z,   dB = dt z
/// are added to `gradient`, and the result is
///   d dt = Re <Z, alpha A Abar + (1 - alpha) A> + Re <z, B + alpha A Bbar>
template <FieldNumber T>
[[nodiscard]] double discretize_bilinear_backward(const DenseSystem<const T>& system, double dt, double alpha,
                                                  const DenseSystem<const T>& bar, const DenseSystem<const T>& dbar,
                                                  const DenseSystem<T>& gradient) {
  detail::check_system("Abar and Bbar", bar, system);
  detail::check_system("cotangents of Abar and Bbar", dbar, system);
  detail::check_system("a gradient", gradient, system);
  const Index n = system.A.rows, inputs = system.B.cols;
  std::vector<T> memory(static_cast<std::size_t>(2 * n * (n + inputs)));
  const MatrixView<T> Z(memory.data(), n, n), z(Z.row(n), n, inputs);
  const MatrixView<T> slope_A(z.row(n), n, n), slope_B(slope_A.row(n), n, inputs);
  for (Index i = 0; i < n; ++i) {
    std::copy_n(dbar.A.row(i), n, Z.row(i));
    std::copy_n(dbar.B.row(i), inputs, z.row(i));
  }
  const auto m = detail::bilinear_denominator<T>(system.A, dt, alpha);
  m.solve_adjoint(Z);
  m.solve_adjoint(z);

  detail::add_adjoint_product<T>(alpha * dt, Z, bar.A, gradient.A);
  detail::add_adjoint_product<T>(alpha * dt, z, bar.B, gradient.A);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) gradient.A(i, j) += (1 - alpha) * dt * Z(i, j);
    for (Index j = 0; j < inputs; ++j) gradient.B(i, j) += dt * z(i, j);
  }
  plain_product_add<T>(slope_A, system.A, bar.A);
  plain_product_add<T>(slope_B, system.A, bar.B);
  return alpha * (detail::real_product<T>(Z, slope_A) + detail::real_product<T>(z, slope_B)) +
         (1 - alpha) * detail::real_product<T>(Z, system.A) + detail::real_product<T>(z, system.B);
}

}  // namespace stepscan::inline STEPSCAN_ISA
