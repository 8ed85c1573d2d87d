#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How much attention a token gets from those behind it, and how often it is a sink ("When Attention Sink Emerges",
/// arXiv 2410.10781, section 3): attention [maps, time, time], rows of causal weights of samples, layers and heads;
///   importance[m, k] = mean over i >= k of attention[m, i, k]                     [maps, time]
///   sink_percent[k] = 100 * the share of maps with importance[m, k] > epsilon     [time]
template <Scalar S>
void attention_sink_metric(const S* attention, Index maps, Index time, S epsilon, MatrixView<S> importance,
                           S* sink_percent) noexcept {
  std::fill_n(sink_percent, time, S{0});
  for (Index m = 0; m < maps; ++m) {
    const MatrixView<const S> map(attention + m * time * time, time, time);
    for (Index k = 0; k < time; ++k) {
      S sum{0};
      for (Index i = k; i < time; ++i) sum += map(i, k);
      importance(m, k) = sum / static_cast<S>(time - k);
      if (importance(m, k) > epsilon) sink_percent[k] += S{1};
    }
  }
  for (Index k = 0; k < time && maps > 0; ++k) sink_percent[k] *= 100 / static_cast<S>(maps);
}

}  // namespace stepscan::inline STEPSCAN_ISA
