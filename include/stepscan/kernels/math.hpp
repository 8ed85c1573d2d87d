#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/math_exp.hpp>
#include <stepscan/kernels/math_gates.hpp>
#include <stepscan/kernels/math_gelu.hpp>
#include <stepscan/kernels/math_log.hpp>

/// SIMD elementwise mathematics: exp, expm1, log1p, sigmoid, tanh, softplus, logsigmoid, silu, gelu. Each is called as
/// f(x) or f<Math>(x), Math = Exact (the default) or Fast, on a register x. All are free of branches, NaN gives NaN,
/// and +-0 and +-infinity give the limits of the function, with the sign of a zero where the function is odd or x f(x).
/// Results do not depend on the lane or on the neighbouring lanes. They assume round-to-nearest and no -ffast-math.
namespace stepscan::inline STEPSCAN_ISA {

/// |f(x) - exact| <= ulp * (spacing of T at the exact result) + absolute.
struct MathError {
  double ulp;
  double absolute;
};

struct MathErrors {
  MathError exp, expm1, log1p, sigmoid, tanh, softplus, logsigmoid, silu, gelu;
  double exp_overflow;  ///< exp gives infinity above this
};

/// The stated errors, which the tests hold every function to, with and without fused multiply-add. The largest errors,
/// in ulp of the exact result after the absolute part:
///   with FMA, over every float (tests/kernels/math_exhaustive.cpp):
///            exp 1.08, expm1 1.33, log1p 1.27, sigmoid 2.49, tanh 1.50, softplus 2.13, silu 3.40, gelu 6.51;
///     Fast   exp 5.6, expm1 9.7, tanh 24.0 (1.5e-6), softplus 7.7, silu 6.3; absolute: sigmoid 7.6e-7, gelu 3.1e-6;
///   without FMA, exp, expm1 and gelu over every float, the others where 2^-16 <= |x| < 2^9 and a sample beyond:
///            exp 1.05, expm1 1.36, gelu 8.05, the others as above;
///     Fast   exp 67.9 (4.3e-6 at |x| = 72), expm1 9.8, softplus 64.8, silu 69.2.
/// logsigmoid is as softplus.
/// log1p and all functions of double have one accuracy: Fast is Exact.
/// A sigmoid, softplus or logsigmoid below the smallest normal number is flushed to 0: the absolute part.
template <Accuracy Math, Scalar T>
inline constexpr MathErrors math_errors = math_errors<Exact, T>;

template <>
inline constexpr MathErrors math_errors<Exact, float> = {.exp = {1.1, 1.5e-45},
                                                         .expm1 = {1.5, 1.5e-45},
                                                         .log1p = {1.4, 0.0},
                                                         .sigmoid = {2.7, 4.5e-39},
                                                         .tanh = {1.6, 0.0},
                                                         .softplus = {2.2, 1.2e-38},
                                                         .logsigmoid = {2.2, 1.2e-38},
                                                         .silu = {3.6, 1.3e-43},
                                                         .gelu = {8.5, 2.5e-44},
                                                         .exp_overflow = 3.402823e38};

template <>
inline constexpr MathErrors math_errors<Fast, float> = {.exp = {80.0, 1.2e-38},
                                                        .expm1 = {12.0, 1.5e-45},
                                                        .log1p = {1.4, 0.0},
                                                        .sigmoid = {0.0, 1.0e-6},
                                                        .tanh = {28.0, 1.5e-45},
                                                        .softplus = {80.0, 1.2e-38},
                                                        .logsigmoid = {80.0, 1.2e-38},
                                                        .silu = {80.0, 4.0e-37},
                                                        .gelu = {20.0, 3.0e-6},
                                                        .exp_overflow = 2.4e38};

template <>
inline constexpr MathErrors math_errors<Exact, double> = {.exp = {1.2, 5e-324},
                                                          .expm1 = {2.0, 5e-324},
                                                          .log1p = {1.5, 0.0},
                                                          .sigmoid = {2.5, 3e-308},
                                                          .tanh = {1.6, 0.0},
                                                          .softplus = {2.5, 2.3e-308},
                                                          .logsigmoid = {2.5, 2.3e-308},
                                                          .silu = {3.0, 4e-321},
                                                          .gelu = {10.0, 2e-322},
                                                          .exp_overflow = 1.797693e308};

}  // namespace stepscan::inline STEPSCAN_ISA
