#pragma once

#include <cmath>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/lanes.hpp>

/// One step of an optimiser on a run of parameters p with their gradient g, element by element.
namespace stepscan::inline STEPSCAN_ISA {

/// Stochastic gradient descent with momentum (torch.optim.SGD; Sutskever et al. 2013):
///   g' = g + weight_decay p,   v = momentum v + g',   p -= learning_rate (nesterov ? g' + momentum v : v)
struct SgdUpdate {
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;

  template <Scalar S>
  void apply(Index n, S* p, const S* g, S* velocity) const noexcept {
    using V = Simd<S>;
    const V rate(static_cast<S>(learning_rate)), mu(static_cast<S>(momentum)), decay(static_cast<S>(weight_decay));
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const V at = lanes.load(p + i), slope = fma(decay, at, lanes.load(g + i));
      const V v = fma(mu, lanes.load(velocity + i), slope);
      lanes.store(velocity + i, v);
      lanes.store(p + i, fnma(rate, nesterov ? fma(mu, v, slope) : v, at));
    });
  }
};

/// Adam (arXiv 1412.6980, algorithm 1; torch.optim.Adam), and with `decoupled` AdamW (arXiv 1711.05101, algorithm 2;
/// torch.optim.AdamW), at step t = 1, 2, ...:
///   g' = g + weight_decay p,   or g' = g and p -= learning_rate weight_decay p first
///   m = beta1 m + (1 - beta1) g',   v = beta2 v + (1 - beta2) g'^2
///   p -= learning_rate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
struct AdamUpdate {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;
  double correction1 = 1;  ///< 1 - beta1^t
  double correction2 = 1;  ///< 1 - beta2^t

  template <Scalar S>
  void apply(Index n, S* p, const S* g, S* m, S* v) const noexcept {
    using V = Simd<S>;
    const auto number = [](double value) { return V(static_cast<S>(value)); };
    const V rate = number(learning_rate / correction1), floor = number(eps);
    const V keep1 = number(beta1), take1 = number(1 - beta1), keep2 = number(beta2), take2 = number(1 - beta2);
    const V unbiased = number(1 / std::sqrt(correction2));
    const V coupled = number(decoupled ? 0 : weight_decay),
            shrink = number(decoupled ? learning_rate * weight_decay : 0);
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const V before = lanes.load(p + i), slope = fma(coupled, before, lanes.load(g + i));
      const V at = fnma(shrink, before, before);
      const V first = fma(keep1, lanes.load(m + i), take1 * slope);
      const V second = fma(keep2, lanes.load(v + i), take2 * slope * slope);
      lanes.store(m + i, first);
      lanes.store(v + i, second);
      lanes.store(p + i, fnma(rate, first / fma(sqrt(second), unbiased, floor), at));
    });
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
