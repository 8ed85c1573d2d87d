#pragma once

#include <support/sequences.hpp>

/// Inputs at twice the rate, and the outputs that have to be those of the rate itself.
namespace stepscan::testing {

/// Every token repeated.
inline Sequence<double> held_twice(const Sequence<double>& x) {
  Sequence<double> twice(x.extent(0), 2 * x.extent(1), x.extent(2));
  for (Index b = 0; b < x.extent(0); ++b) {
    for (Index t = 0; t < twice.extent(1); ++t) std::copy_n(&x(b, t / 2, 0), x.extent(2), &twice(b, t, 0));
  }
  return twice;
}

/// Feature i is sin(step (i + 1) (t + 1)): half the step gives the same waves at twice the rate.
inline Sequence<double> waves(Index time, Index features, double step) {
  Sequence<double> sequence(1, time, features);
  for (Index t = 0; t < time; ++t) {
    for (Index i = 0; i < features; ++i) sequence(0, t, i) = std::sin(step * static_cast<double>((t + 1) * (i + 1)));
  }
  return sequence;
}

/// The largest difference of y and every second token of `twice`.
inline double distance_at_odd_tokens(const Sequence<double>& y, const Sequence<double>& twice) {
  double most = 0;
  for (Index b = 0; b < y.extent(0); ++b) {
    for (Index t = 0; t < y.extent(1); ++t) {
      for (Index i = 0; i < y.extent(2); ++i) most = std::max(most, std::abs(y(b, t, i) - twice(b, 2 * t + 1, i)));
    }
  }
  return most;
}

/// How far the plan of half the step is from the plan, of what this one gives at most.
template <class L>
[[nodiscard]] double resampling_error(L layer) {
  const auto coarse = scanned(prepare(layer), waves(100, layer.input_size(), 0.05));
  layer.options.step_scale = 0.5;
  const auto fine = scanned(prepare(layer), waves(200, layer.input_size(), 0.025));
  return distance_at_odd_tokens(coarse, fine) / distance(coarse, Sequence<double>(coarse.shape()));
}

}  // namespace stepscan::testing
