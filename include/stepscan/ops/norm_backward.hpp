#pragma once

#include <stepscan/ops/norm.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Where the gradient of a Norm's parameters is added; null: nowhere. Shared parameters sum over the groups.
template <Scalar S>
struct NormGradient {
  S* weight = nullptr;
  S* bias = nullptr;
};

/// From x and the cotangent of y, rows of one token each. With n the normalised features, r the inverse root that they
/// were multiplied by, g_i = weight_i dy_i, and all means over the group:
///   dx_i = r (g_i - mean(g) - n_i mean(g n))    about the mean,
///   dx_i = r (g_i - n_i mean(g n))              about zero,
///   dweight_i += dy_i n_i,   dbias_i += dy_i
/// dx may be dy.
template <Centre About, Scalar S>
void normalize_backward(const Norm<S>& norm, MatrixView<const S> x, MatrixView<const S> dy,
                        const NormGradient<S>& gradient, MatrixView<S> dx) noexcept {
  const Index size = x.cols / norm.groups;
  const S count = static_cast<S>(size);
  for (Index r = 0; r < x.rows; ++r) {
    for (Index first = 0; first < x.cols; first += size) {
      const S* from = x.row(r) + first;
      const S* dto = dy.row(r) + first;
      S* dfrom = dx.row(r) + first;
      const Index offset = norm.shared ? 0 : first;
      const NormStatistics<S> statistics = norm_statistics<About, S>(from, size, norm.eps);
      const auto weighted = [&](Index i, auto lanes) {
        const Simd<S> cotangent = lanes.load(dto + i);
        return norm.weight == nullptr ? cotangent : cotangent * lanes.load(norm.weight + offset + i);
      };
      const auto sums = sum_lanes<S, 2>(size, [&](Index i, auto lanes) {
        const Simd<S> value = weighted(i, lanes);
        return std::array{value, value * statistics.normalized(lanes.load(from + i))};
      });
      const Simd<S> mean(About == Centre::mean ? sums[0] / count : S{0}), slope(sums[1] / count);
      for_each_lanes<S>(size, [&](Index i, auto lanes) {
        const Simd<S> normalized = statistics.normalized(lanes.load(from + i)), cotangent = lanes.load(dto + i);
        const auto add = [&](S* to, Simd<S> value) {
          if (to != nullptr) lanes.store(to + offset + i, lanes.load(to + offset + i) + value);
        };
        const Simd<S> inner = fma(normalized, Simd<S>(S{0}) - slope, weighted(i, lanes) - mean);
        lanes.store(dfrom + i, inner * Simd<S>(statistics.inverse) * Simd<S>(statistics.scale));
        add(gradient.weight, cotangent * normalized);
        add(gradient.bias, cotangent);
      });
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
