#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/kernels/math.hpp>
#include <stepscan/kernels/math_exp2.hpp>

/// What becomes of the logits of a query: the folds over its keys. A fold keeps two numbers of every query, m and u,
/// and w = the sum of weights times values. It gives
///
///   F::shifts                   m is a running maximum, by which earlier sums are rescaled
///   f.unit(scale)               what q.k is multiplied by: logits come in that unit
///   f.largest(x, n, m)          m with a run of logits x
///   f.rescale(m, m', n, r)      what earlier sums of n queries have to be multiplied by, m having become m'
///   f.weigh(x, n, m)            a run of logits x becomes weights, whose sum it returns
///   f.inverse(u)                what w is multiplied by in the end
///   f.pull(x, n, d, m, r, e)    for the backward pass: logits x become weights times r, and d becomes the cotangents
///                               of q.k times scale, from d = g.v
/// A hidden key has the logit minus infinity, which weighs exactly 0.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The largest of n numbers and `least`.
template <Scalar S>
[[nodiscard]] inline S largest_of(const S* x, Index n, S least) noexcept {
  constexpr Index width = simd_width<S>;
  Simd<S> most(least);
  Index i = 0;
  for (; i + width <= n; i += width) most = max(load(x + i), most);
  std::array<S, static_cast<std::size_t>(width)> lanes;
  store(lanes.data(), most);
  for (std::size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] = std::max(lanes[lane], lanes[lane + half]);
  }
  for (; i < n; ++i) lanes[0] = std::max(lanes[0], x[i]);
  return lanes[0];
}

/// 2^x for x <= 0 up to rounding; 0 below the normal numbers.
template <SimdRegister V>
[[gnu::always_inline]] inline V exp2_of_negative(V x) noexcept {
  using T = typename V::value_type;
  return select(x < V(-exp2_limit<T>), V(T{0}), exp2_product_in_range(x, V(T{1})));
}

}  // namespace detail

/// Weights exp(s - max s); y = w / u, lse = max s + log u. Logits are kept in units of log 2.
template <Scalar S>
struct SoftmaxWeights {
  static constexpr bool shifts = true;
  static constexpr S log2_e = static_cast<S>(1.44269504088896340736L);
  static constexpr S ln_2 = static_cast<S>(0.69314718055994530942L);

  [[nodiscard]] static S unit(S scale) noexcept { return scale * log2_e; }
  [[nodiscard]] static S inverse(S sum) noexcept { return sum == S{0} ? S{0} : 1 / sum; }
  [[nodiscard]] static S log_sum(S maximum, S sum) noexcept {
    return sum == S{0} ? -std::numeric_limits<S>::infinity() : maximum * ln_2 + std::log(sum);
  }

  [[nodiscard]] static S largest(const S* x, Index n, S maximum) noexcept { return detail::largest_of(x, n, maximum); }
  static void rescale(const S* before, const S* after, Index n, S* factors) noexcept {
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const Simd<S> m = lanes.load(after + i), none(-std::numeric_limits<S>::infinity());
      const Simd<S> shift = select(m > none, m, Simd<S>(S{0}));
      lanes.store(factors + i, detail::exp2_of_negative(lanes.load(before + i) - shift));
    });
  }
  static S weigh(S* x, Index n, S maximum) noexcept {
    const Simd<S> shift(shift_of(maximum));
    Simd<S> total(S{0});
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const Simd<S> weight = detail::exp2_of_negative(lanes.load(x + i) - shift);
      total = total + lanes.inside(weight);
      lanes.store(x + i, weight);
    });
    return stepscan::sum(total);
  }

  /// P = exp(s - m) / u, r being 1 / u, and dS = P (g.v - e).
  static void pull(S* x, Index n, S* d, S maximum, S inverse_sum, S e, S scale) noexcept {
    const Simd<S> shift(shift_of(maximum)), r(inverse_sum), offset(e), factor(scale);
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const Simd<S> weight = detail::exp2_of_negative(lanes.load(x + i) - shift) * r;
      lanes.store(x + i, weight);
      lanes.store(d + i, weight * factor * (lanes.load(d + i) - offset));
    });
  }

  /// e of a row: g.y - c, c the cotangent of its lse.
  [[nodiscard]] static S offset(S product, S inverse_sum, S dlse) noexcept {
    return inverse_sum == S{0} ? S{0} : product - dlse;
  }

 private:
  /// A row that has seen nothing is not shifted.
  static S shift_of(S maximum) noexcept { return maximum == -std::numeric_limits<S>::infinity() ? S{0} : maximum; }
};

/// How sigmoid attention makes weights of logits ("When Attention Sink Emerges", arXiv 2410.10781).
enum class Similarity {
  sigmoid,  ///< sigmoid(s + bias)
  elu,      ///< elu(s) + 1
};

/// Plain sums of similarities: y = w, or w / (u + eps) where Normalised.
template <Scalar S, Similarity Kind, bool Normalised>
struct SimilarityWeights {
  static constexpr bool shifts = false;

  S bias{0};
  S eps{static_cast<S>(1e-8)};

  [[nodiscard]] static S unit(S scale) noexcept { return scale; }
  [[nodiscard]] S inverse(S sum) const noexcept { return Normalised ? 1 / (sum + eps) : S{1}; }

  [[nodiscard]] static S largest(const S*, Index, S maximum) noexcept { return maximum; }
  static void rescale(const S*, const S*, Index n, S* factors) noexcept { std::fill_n(factors, n, S{1}); }
  S weigh(S* x, Index n, S) const noexcept {
    Simd<S> total(S{0});
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const Simd<S> weight = similarity(lanes.load(x + i));
      total = total + lanes.inside(weight);
      lanes.store(x + i, weight);
    });
    return stepscan::sum(total);
  }

  /// a r, and dS = f'(s) r (g.v - e).
  void pull(S* x, Index n, S* d, S, S r, S e, S scale) const noexcept {
    const Simd<S> inverse_sum(r), offset(e), factor(scale * r);
    for_each_lanes<S>(n, [&](Index i, auto lanes) {
      const Simd<S> s = lanes.load(x + i), a = similarity(s);
      lanes.store(x + i, a * inverse_sum);
      lanes.store(d + i, slope(s, a) * factor * (lanes.load(d + i) - offset));
    });
  }
  /// Only a normalised row depends on the sum of its weights.
  [[nodiscard]] static S offset(S product, S, S) noexcept { return Normalised ? product : S{0}; }

 private:
  [[nodiscard]] Simd<S> similarity(Simd<S> s) const noexcept {
    if constexpr (Kind == Similarity::sigmoid) {
      return sigmoid(s + Simd<S>(bias));
    } else {
      return select(s > Simd<S>(S{0}), s + Simd<S>(S{1}), exp(s));
    }
  }
  [[nodiscard]] static Simd<S> slope(Simd<S> s, Simd<S> a) noexcept {
    if constexpr (Kind == Similarity::sigmoid) {
      return a * (Simd<S>(S{1}) - a);
    } else {
      return select(s > Simd<S>(S{0}), Simd<S>(S{1}), a);
    }
  }
};

}  // namespace stepscan::inline STEPSCAN_ISA
