#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/scan/monoid.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// What one query has seen of keys with logits s and values v: m, the largest logit, u = sum exp(s - m) and
/// w = sum exp(s - m) v, a vector. Where u = 0 nothing has been seen, whatever m is; so all zero is empty.
template <Scalar S>
struct SoftmaxState {
  S* maximum = nullptr;   ///< m
  S* sum = nullptr;       ///< u
  S* weighted = nullptr;  ///< w
};

/// The fold that ends in a softmax ("Attention as an RNN", arXiv 2405.13956, section 3.1; online softmax, arXiv
/// 1805.02867). Elements and states are the same; merging is associative and commutative, so it is exact for any split
/// of the keys: a prefix, blocks, a cache and what is new, workers.
///   (m, u, w) + (m', u', w') = (M, e u + e' u', e w + e' w'),   M = max(m, m'),  e = exp(m - M),  e' = exp(m' - M)
///   result  y = w / u,  0 where nothing was seen;   lse = m + log u
/// Results may be written over an operand.
template <Scalar S>
struct SoftmaxFold {
  using Element = SoftmaxState<S>;
  using State = SoftmaxState<S>;

  Index values = 0;

  void identity(const Element& out) const noexcept {
    *out.maximum = *out.sum = S{0};
    std::fill_n(out.weighted, values, S{0});
  }

  /// One key. A logit of minus infinity is none.
  void lift(S logit, const S* value, const Element& out) const noexcept {
    if (logit == -std::numeric_limits<S>::infinity()) return identity(out);
    *out.maximum = logit;
    *out.sum = S{1};
    std::copy_n(value, values, out.weighted);
  }

  void combine(const Element& earlier, const Element& later, const Element& out) const noexcept {
    const S m = *later.sum == S{0}     ? *earlier.maximum
                : *earlier.sum == S{0} ? *later.maximum
                                       : std::max(*earlier.maximum, *later.maximum);
    const S left = weight(earlier, m), right = weight(later, m);
    *out.maximum = m;
    *out.sum = left * *earlier.sum + right * *later.sum;
    for_each_lanes<S>(values, [&](Index i, auto lanes) {
      lanes.store(out.weighted + i, fma(Simd<S>(left), lanes.load(earlier.weighted + i),
                                        Simd<S>(right) * lanes.load(later.weighted + i)));
    });
  }

  void act(const Element& element, const State& from, const State& to) const noexcept { combine(from, element, to); }

  /// y [values] of a state, which it may overwrite.
  void result(const State& state, S* y) const noexcept {
    const S inverse = *state.sum == S{0} ? S{0} : 1 / *state.sum;
    transform(y, state.weighted, values, [&](Simd<S> w) { return w * Simd<S>(inverse); });
  }
  [[nodiscard]] static S log_sum(const State& state) noexcept {
    return *state.sum == S{0} ? -std::numeric_limits<S>::infinity() : *state.maximum + std::log(*state.sum);
  }

 private:
  /// 1 for the larger one, of infinities too.
  static S weight(const Element& element, S maximum) noexcept {
    if (*element.sum == S{0}) return S{0};
    return *element.maximum == maximum ? S{1} : std::exp(*element.maximum - maximum);
  }
};
static_assert(Action<SoftmaxFold<float>> && Action<SoftmaxFold<double>>);

}  // namespace stepscan::inline STEPSCAN_ISA
