#pragma once

#include <stepscan/kernels/lu.hpp>
#include <stepscan/ops/discretize.hpp>
#include <vector>

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

/// M = I - alpha dt A, factored in `memory` [n, n] and `swaps` [n].
template <FieldNumber T>
[[nodiscard]] LuFactors<T> bilinear_denominator(MatrixView<const T> a, double dt, double alpha, T* memory,
                                                Index* swaps) noexcept {
  const MatrixView<T> m(memory, Index{a.rows}, Index{a.cols});
  shifted_identity<T>(-alpha * dt, a, m);
  return LuFactors<T>(m, swaps);
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

/// discretize_bilinear in scratch [n, n] and [n], without a look at sizes. Returns whether M has an inverse; without
/// one, what is written is not finite.
template <FieldNumber T>
bool bilinear_in(const DenseSystem<const T>& system, double dt, double alpha, const DenseSystem<T>& bar, T* room,
                 Index* swaps) noexcept {
  shifted_identity<T>((1 - alpha) * dt, system.A, bar.A);
  for (Index i = 0; i < bar.B.rows; ++i) {
    for (Index j = 0; j < bar.B.cols; ++j) bar.B(i, j) = dt * system.B(i, j);
  }
  const LuFactors<T> m = bilinear_denominator<T>(system.A, dt, alpha, room, swaps);
  m.solve(bar.A);
  m.solve(bar.B);
  return !m.is_singular();
}

/// Numbers of scratch of bilinear_backward_in.
[[nodiscard]] constexpr Index bilinear_backward_room(Index n, Index inputs) noexcept {
  return n * (3 * n + 2 * inputs);
}

/// discretize_bilinear_backward in scratch.
template <FieldNumber T>
[[nodiscard]] double bilinear_backward_in(const DenseSystem<const T>& system, double dt, double alpha,
                                          const DenseSystem<const T>& bar, const DenseSystem<const T>& dbar,
                                          const DenseSystem<T>& gradient, T* room, Index* swaps) noexcept {
  const Index n = system.A.rows, inputs = system.B.cols;
  const MatrixView<T> Z(room + n * n, n, n), z(Z.row(n), n, inputs);
  const MatrixView<T> slope_A(z.row(n), n, n), slope_B(slope_A.row(n), n, inputs);
  std::fill_n(slope_A.data, n * (n + inputs), T{});
  for (Index i = 0; i < n; ++i) {
    std::copy_n(dbar.A.row(i), n, Z.row(i));
    std::copy_n(dbar.B.row(i), inputs, z.row(i));
  }
  const LuFactors<T> m = bilinear_denominator<T>(system.A, dt, alpha, room, swaps);
  m.solve_adjoint(Z);
  m.solve_adjoint(z);

  add_adjoint_product<T>(alpha * dt, Z, bar.A, gradient.A);
  add_adjoint_product<T>(alpha * dt, z, bar.B, gradient.A);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) gradient.A(i, j) += (1 - alpha) * dt * Z(i, j);
    for (Index j = 0; j < inputs; ++j) gradient.B(i, j) += dt * z(i, j);
  }
  plain_product_add<T>(slope_A, system.A, bar.A);
  plain_product_add<T>(slope_B, system.A, bar.B);
  return alpha * (real_product<T>(Z, slope_A) + real_product<T>(z, slope_B)) +
         (1 - alpha) * real_product<T>(Z, system.A) + real_product<T>(z, system.B);
}

}  // namespace detail

/// The generalised bilinear rule: Abar = M^-1 (I + (1 - alpha) dt A), Bbar = dt M^-1 B, M = I - alpha dt A, written to
/// `bar`. Throws ShapeError, and ArgumentError when M is singular.
template <FieldNumber T>
void discretize_bilinear(const DenseSystem<const T>& system, double dt, double alpha, const DenseSystem<T>& bar) {
  detail::check_system("a system", system, system);
  detail::check_system("Abar and Bbar", bar, system);
  const auto n = static_cast<std::size_t>(Index{system.A.rows});
  std::vector<T> room(n * n);
  std::vector<Index> swaps(n);
  if (!detail::bilinear_in<T>(system, dt, alpha, bar, room.data(), swaps.data())) {
    fail<ArgumentError>("discretize: expected a system for which I - alpha dt A can be inverted, found one of step " +
                        std::to_string(dt) + " for which it cannot");
  }
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
  const Index n = system.A.rows;
  std::vector<T> room(static_cast<std::size_t>(detail::bilinear_backward_room(n, system.B.cols)));
  std::vector<Index> swaps(static_cast<std::size_t>(n));
  return detail::bilinear_backward_in<T>(system, dt, alpha, bar, dbar, gradient, room.data(), swaps.data());
}

}  // namespace stepscan::inline STEPSCAN_ISA
