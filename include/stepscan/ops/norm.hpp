#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// From where a normalisation measures: the mean of the features (LayerNorm, GroupNorm) or zero (RmsNorm).
enum class Centre { mean, zero };

/// How the features of a token are normalised: in groups of neighbours, each by its own statistics.
///   n_i = (x_i - c) / sqrt(mean_j (x_j - c)^2 + eps),   y_i = weight_i n_i + bias_i
/// with c = mean_j x_j (LayerNorm, arXiv 1607.06450, equation 3, j over all features; GroupNorm, arXiv 1803.08494,
/// equations 1 to 3 and 6, j over the group) or c = 0 (RMSNorm, arXiv 1910.07467, equation 4).
template <Scalar S>
struct Norm {
  Index groups = 1;  ///< divides the number of features
  S eps = 0;
  const S* weight = nullptr;  ///< [features]; null: ones
  const S* bias = nullptr;    ///< [features]; null: zeros
  bool shared = false;        ///< weight and bias are [features / groups], the same for every group
};

/// What one group is normalised by. Squares of values too large for them are taken of scale x instead.
template <Scalar S>
struct NormStatistics {
  S scale;    ///< 1 or a small power of two
  S centre;   ///< of scale x
  S inverse;  ///< 1 / sqrt(mean((scale x - centre)^2) + scale^2 eps)

  template <class V>
  [[nodiscard]] V normalized(V x) const noexcept {
    return fma(x, V(scale), V(-centre)) * V(inverse);
  }
};

namespace detail {

/// The mean is taken twice: what is left of it after the first subtraction is the rounding error of the first sum. An
/// eps that vanishes is taken to be the smallest number, so that features without deviation become zero.
template <Centre About, Scalar S>
[[nodiscard]] NormStatistics<S> scaled_statistics(const S* x, Index n, S eps, S scale) noexcept {
  const S count = static_cast<S>(n);
  S centre = 0, variance = 0;
  if constexpr (About == Centre::mean) {
    const auto scaled = [&](Index i, auto lanes) { return std::array{lanes.load(x + i) * Simd<S>(scale)}; };
    centre = sum_lanes<S, 1>(n, scaled)[0] / count;
    const auto deviations = [&](Index i, auto lanes) {
      const Simd<S> d = fma(lanes.load(x + i), Simd<S>(scale), Simd<S>(-centre));
      return std::array{d, d * d};
    };
    const auto [rest, squares] = sum_lanes<S, 2>(n, deviations);
    const S correction = rest / count;
    centre += correction;
    variance = squares / count - correction * correction;
  } else {
    const auto square = [&](Index i, auto lanes) {
      const Simd<S> d = lanes.load(x + i) * Simd<S>(scale);
      return std::array{d * d};
    };
    variance = sum_lanes<S, 1>(n, square)[0] / count;
  }
  const S least = std::max(eps * scale * scale, std::numeric_limits<S>::min());
  return {scale, centre, S{1} / std::sqrt(std::max(variance, S{0}) + least)};
}

}  // namespace detail

/// The statistics of n neighbouring features. Finite features of any size have finite statistics.
template <Centre About, Scalar S>
[[nodiscard]] NormStatistics<S> norm_statistics(const S* x, Index n, S eps) noexcept {
  constexpr S small = static_cast<S>(sizeof(S) == sizeof(float) ? 0x1p-96 : 0x1p-768);
  const NormStatistics<S> plain = detail::scaled_statistics<About, S>(x, n, eps, S{1});
  const bool overflowed = !(plain.inverse > 0);
  return overflowed ? detail::scaled_statistics<About, S>(x, n, eps, small) : plain;
}

/// Normalises rows of one token each and writes what finish(row, feature, lanes, value) makes of the value. y may be x.
template <Centre About, Scalar S, class Finish>
void normalize_with(const Norm<S>& norm, MatrixView<const S> x, MatrixView<S> y, Finish&& finish) noexcept {
  STEPSCAN_ASSERT(x.cols % norm.groups == 0);
  const Index size = x.cols / norm.groups;
  for (Index r = 0; r < x.rows; ++r) {
    for (Index first = 0; first < x.cols; first += size) {
      const S* from = x.row(r) + first;
      S* to = y.row(r) + first;
      const Index offset = norm.shared ? 0 : first;
      const NormStatistics<S> statistics = norm_statistics<About, S>(from, size, norm.eps);
      for_each_lanes<S>(size, [&](Index i, auto lanes) {
        Simd<S> value = statistics.normalized(lanes.load(from + i));
        if (norm.weight != nullptr) value = value * lanes.load(norm.weight + offset + i);
        if (norm.bias != nullptr) value = value + lanes.load(norm.bias + offset + i);
        lanes.store(to + i, finish(r, first + i, lanes, value));
      });
    }
  }
}

/// The same, written as it is.
template <Centre About, Scalar S>
void normalize(const Norm<S>& norm, MatrixView<const S> x, MatrixView<S> y) noexcept {
  normalize_with<About, S>(norm, x, y, [](Index, Index, auto, Simd<S> value) { return value; });
}

}  // namespace stepscan::inline STEPSCAN_ISA
