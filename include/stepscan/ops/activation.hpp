#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/ops/gru.hpp>

/// Activation functions beside TanhActivation and ReluActivation (ops/gru.hpp): apply(x) is the value, slope_at(x) the
/// derivative (slope(y) where the value alone gives it).
namespace stepscan::inline STEPSCAN_ISA {

/// x itself: no activation.
struct IdentityActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return x;
  }
  template <class V>
  static V slope_at(V) noexcept {
    using T = typename V::value_type;
    return V(T(1));
  }
};

/// 1 / (1 + e^-x)
struct SigmoidActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return sigmoid<Math>(x);
  }
  /// s(x) s(-x), which does not cancel where s(x) is near one.
  template <class V>
  static V slope_at(V x) noexcept {
    return sigmoid(x) * sigmoid(-x);
  }
};

/// x s(x), "swish" (arXiv 1710.05941)
struct SiluActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return silu<Math>(x);
  }
  template <class V>
  static V slope_at(V x) noexcept {
    const V s = sigmoid(x);
    return fma(silu(x), sigmoid(-x), s);
  }
};

/// x Phi(x) with the normal distribution function Phi, not its tanh approximation (arXiv 1606.08415)
struct GeluActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return gelu<Math>(x);
  }
  /// Phi(x) + x phi(x), with Phi(x) = gelu(x) / x
  template <class V>
  static V slope_at(V x) noexcept {
    using T = typename V::value_type;
    const V density = exp(V(T(-0.5)) * x * x) * V(T(0.3989422804014326779399460599343819));
    const auto at_zero = x == V(T(0));
    const V distribution = select(at_zero, V(T(0.5)), gelu(x) / select(at_zero, V(T(1)), x));
    return fma(x, density, distribution);
  }
};

/// log(1 + e^x)
struct SoftplusActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    return softplus<Math>(x);
  }
  template <class V>
  static V slope_at(V x) noexcept {
    return sigmoid(x);
  }
};

/// log(s(x)) / Tau <= 0: a log decay
template <int Tau = 1>
struct LogSigmoidActivation {
  template <class Math = Exact, class V>
  static V apply(V x) noexcept {
    using T = typename V::value_type;
    return logsigmoid<Math>(x) * V(T(1) / T(Tau));
  }
  template <class V>
  static V slope_at(V x) noexcept {
    using T = typename V::value_type;
    return sigmoid(V(T(0)) - x) * V(T(1) / T(Tau));
  }
};

/// The derivative of an activation function at x.
template <class Function, class V>
[[nodiscard]] V activation_slope(V x) noexcept {
  if constexpr (requires { Function::slope_at(x); }) {
    return Function::slope_at(x);
  } else {
    return Function::slope(Function::apply(x));
  }
}

/// y = f(x), rows of one token each. y may be x.
template <class Function, class Math, Scalar S>
void activate(MatrixView<const S> x, MatrixView<S> y) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    for_each_lanes<S>(x.cols, [&](Index i, auto lanes) {
      lanes.store(y.row(r) + i, Function::template apply<Math>(lanes.load(x.row(r) + i)));
    });
  }
}

/// dx = f'(x) dy, rows of one token each.
template <class Function, Scalar S>
void activate_backward(MatrixView<const S> x, MatrixView<const S> dy, MatrixView<S> dx) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    for_each_lanes<S>(x.cols, [&](Index i, auto lanes) {
      lanes.store(dx.row(r) + i, activation_slope<Function>(lanes.load(x.row(r) + i)) * lanes.load(dy.row(r) + i));
    });
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
