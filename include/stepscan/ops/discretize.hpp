#pragma once

#include <stepscan/core/error.hpp>
#include <stepscan/kernels/complex_math.hpp>

/// From a continuous system h' = A h + B u to steps of length dt, h_t = Abar h_(t-1) + Bbar u_t, always in double. Here
/// one mode of a diagonal system; dense ones: ops/discretize_dense.hpp.
namespace stepscan::inline STEPSCAN_ISA {

/// A rule of discretisation. With M = I - alpha dt A the generalised bilinear one is
///   Abar = M^-1 (I + (1 - alpha) dt A),   Bbar = dt M^-1 B
/// and zero-order hold, exact for inputs that stay constant within a step, is
///   exp(dt [[A, B], [0, 0]]) = [[Abar, Bbar], [0, 1]]
/// Hold, bilinear and backward Euler keep a decaying mode decaying for every dt; forward Euler does not, and bilinear
/// lets fast modes ring near -1.
struct Discretization {
  bool hold = true;
  double alpha = 0;  ///< of the generalised bilinear rule

  friend constexpr bool operator==(const Discretization&, const Discretization&) = default;
};

inline constexpr Discretization zero_order_hold{};
inline constexpr Discretization forward_euler{false, 0};
inline constexpr Discretization bilinear{false, 0.5};
inline constexpr Discretization backward_euler{false, 1};
[[nodiscard]] constexpr Discretization generalized_bilinear(double alpha) noexcept { return {false, alpha}; }

/// One mode of a diagonal system after discretisation: h_t = transition h_(t-1) + input (B u_t).
struct DiscreteMode {
  std::complex<double> transition;
  std::complex<double> input;
};

/// The mode with eigenvalue `lambda`:
///   hold      transition = exp(dt lambda),  input = expm1(dt lambda) / lambda, which is dt at lambda = 0
///   bilinear  transition = (1 + (1 - alpha) dt lambda) m,  input = dt m,  m = 1 / (1 - alpha dt lambda)
[[nodiscard]] inline DiscreteMode discretize(std::complex<double> lambda, double dt,
                                             const Discretization& rule) noexcept {
  const std::complex<double> x = dt * lambda;
  if (rule.hold) return {std::exp(x), dt * complex_phi1(x)};
  const std::complex<double> m = 1.0 / (1.0 - rule.alpha * x);
  return {m * (1.0 + (1 - rule.alpha) * x), dt * m};
}

/// Cotangents of what a mode is discretised from.
struct ModeCotangent {
  std::complex<double> lambda;
  double dt = 0;
};

/// The backward pass of discretize from the cotangents of its results; a complex cotangent is dL/dx + i dL/dy.
[[nodiscard]] inline ModeCotangent discretize_backward(std::complex<double> lambda, double dt,
                                                       const Discretization& rule, const DiscreteMode& d) noexcept {
  const std::complex<double> x = dt * lambda;
  const auto along = [&](std::complex<double> transition, std::complex<double> input) {
    return std::conj(transition) * d.transition + std::conj(input) * d.input;
  };
  if (rule.hold) {
    const std::complex<double> a = std::exp(x);
    return {along(dt * a, dt * dt * complex_phi1_slope(x)), along(lambda * a, a).real()};
  }
  const std::complex<double> m = 1.0 / (1.0 - rule.alpha * x), square = m * m;
  return {along(dt * square, rule.alpha * dt * dt * square), along(lambda * square, square).real()};
}

}  // namespace stepscan::inline STEPSCAN_ISA
