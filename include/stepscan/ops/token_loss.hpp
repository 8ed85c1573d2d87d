#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/threads.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <vector>

/// Losses of single tokens with their derivatives, and their sum over the real tokens of a batch. Where a cotangent is
/// asked for it is written, scaled; null asks for none.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The largest of n > 0 numbers; a NaN may be passed over.
template <Scalar S>
[[nodiscard]] S largest(const S* x, Index n) noexcept {
  constexpr Index width = simd_width<S>;
  if (n < width) return *std::max_element(x, x + n);
  Simd<S> most = load(x);
  for (Index i = width; i + width <= n; i += width) most = max(most, load(x + i));
  most = max(most, load(x + n - width));
  S lanes[static_cast<std::size_t>(width)];
  store(lanes, most);
  return *std::max_element(lanes, lanes + width);
}

}  // namespace detail

/// Cross entropy of softmax(y), y [classes], against a target smoothed by s (arXiv 1512.00567, section 7):
///   q_i = (1 - s) [i = target] + s / classes,   loss = -sum_i q_i log softmax(y)_i,   dy = scale (softmax(y) - q)
template <Scalar S>
[[nodiscard]] double softmax_cross_entropy(const S* y, Index classes, Index target, double smoothing, double scale,
                                           S* dy) noexcept {
  const S most = detail::largest(y, classes);
  const auto exponentials = [&](Index i, auto lanes) {
    const Simd<S> e = exp(lanes.load(y + i) - Simd<S>(most));
    if (dy != nullptr) lanes.store(dy + i, e);
    return std::array{e};
  };
  const S sum = sum_lanes<S, 1>(classes, exponentials)[0];
  const double log_sum = std::log(static_cast<double>(sum));
  const double below = static_cast<double>(y[target]) - static_cast<double>(most);
  double loss = log_sum - below;
  if (smoothing > 0) {
    const auto distances = [&](Index i, auto lanes) { return std::array{lanes.load(y + i) - Simd<S>(most)}; };
    const double mean = static_cast<double>(sum_lanes<S, 1>(classes, distances)[0]) / static_cast<double>(classes);
    loss = log_sum - (1 - smoothing) * below - smoothing * mean;
  }
  if (dy != nullptr) {
    const Simd<S> factor(static_cast<S>(scale / static_cast<double>(sum)));
    const Simd<S> shared(static_cast<S>(-scale * smoothing / static_cast<double>(classes)));
    for_each_lanes<S>(classes,
                      [&](Index i, auto lanes) { lanes.store(dy + i, fma(lanes.load(dy + i), factor, shared)); });
    dy[target] -= static_cast<S>(scale * (1 - smoothing));
  }
  return loss;
}

/// -log_probs[target], of log probabilities [classes] that somebody normalised.
template <Scalar S>
[[nodiscard]] double negative_log_likelihood(const S* log_probs, Index classes, Index target, double scale,
                                             S* dy) noexcept {
  if (dy != nullptr) {
    std::fill_n(dy, classes, S{0});
    dy[target] = static_cast<S>(-scale);
  }
  return -static_cast<double>(log_probs[target]);
}

/// (y - target)^2
struct SquaredError {
  static constexpr const char* name = "Mse";

  template <class V>
  [[nodiscard]] V value(V y, V target) const noexcept {
    const V d = y - target;
    return d * d;
  }
  template <class V>
  [[nodiscard]] V slope(V y, V target) const noexcept {
    const V d = y - target;
    return d + d;
  }
};

/// |y - target|, with slope 0 at 0
struct AbsoluteError {
  static constexpr const char* name = "Mae";

  template <class V>
  [[nodiscard]] V value(V y, V target) const noexcept {
    return abs(y - target);
  }
  template <class V>
  [[nodiscard]] V slope(V y, V target) const noexcept {
    using T = typename V::value_type;
    const V d = y - target;
    return select(d == V(T(0)), V(T(0)), V(T(1)) | sign_bit(d)) + d * V(T(0));
  }
};

/// d^2 / 2 where d = y - target lies within +-delta, delta (|d| - delta / 2) beyond (Huber 1964; torch.nn.HuberLoss)
struct HuberError {
  static constexpr const char* name = "Huber";
  double delta = 1;

  template <class V>
  [[nodiscard]] V value(V y, V target) const noexcept {
    using T = typename V::value_type;
    const V size = abs(y - target), inside = min(V(static_cast<T>(delta)), size);
    return inside * (size - V(T(0.5)) * inside);
  }
  template <class V>
  [[nodiscard]] V slope(V y, V target) const noexcept {
    using T = typename V::value_type;
    return clamp(y - target, static_cast<T>(-delta), static_cast<T>(delta));
  }
};

/// -target log s(y) - (1 - target) log s(-y), s(y) = 1 / (1 + e^-y), of a logit y and a probability target
struct LogisticError {
  static constexpr const char* name = "BinaryCrossEntropy";

  /// softplus(-|y|) keeps its digits where the loss is small.
  template <class V>
  [[nodiscard]] V value(V y, V target) const noexcept {
    using T = typename V::value_type;
    return softplus(y | V(T(-0.0))) + (max(V(T(0)), y) - y * target);
  }
  /// s(y) - target, without cancellation where target is 0 or 1
  template <class V>
  [[nodiscard]] V slope(V y, V target) const noexcept {
    using T = typename V::value_type;
    return sigmoid(y) * (V(T(1)) - target) - sigmoid(V(T(0)) - y) * target;
  }
};

/// The sum of an error over the features of a token; dy = scale * slope.
template <Scalar S, class Error>
[[nodiscard]] double summed_error(const Error& error, const S* y, const S* target, Index features, double scale,
                                  S* dy) noexcept {
  const Simd<S> factor(static_cast<S>(scale));
  const auto terms = [&](Index i, auto lanes) {
    const Simd<S> at = lanes.load(y + i), wanted = lanes.load(target + i);
    if (dy != nullptr) lanes.store(dy + i, factor * error.slope(at, wanted));
    return std::array{error.value(at, wanted)};
  };
  return static_cast<double>(sum_lanes<S, 1>(features, terms)[0]);
}

/// Numbers below which a loss is not worth a second thread.
inline constexpr Index shared_loss_size = 1 << 15;

/// The sum of f(b, t) over the real tokens of y, spread over threads: blocks of tokens, added up in their order.
template <class T, Index F, class Function>
[[nodiscard]] double sum_over_tokens(const SequenceView<T, F>& y, Function&& f) {
  constexpr Index tokens = 64;
  const Index blocks = (y.time + tokens - 1) / tokens;
  std::vector<double> sums(static_cast<std::size_t>(y.batch * blocks));
  const int threads = y.batch * y.time * y.features < shared_loss_size ? 1 : max_threads();
  parallel_for(y.batch * blocks, threads, [&](Index job) {
    const Index b = job / blocks, first = job % blocks * tokens;
    const Index end = std::min(first + tokens, y.length(b));
    double sum = 0;
    for (Index t = first; t < end; ++t) sum += f(b, t);
    sums[static_cast<std::size_t>(job)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace stepscan::inline STEPSCAN_ISA
