#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

/// Learning rates as functions of the step, the first of which is 0: small values, schedule(step). Whoever knows the
/// step knows the rate, so a resumed run needs nothing else.
namespace stepscan::inline STEPSCAN_ISA {

/// Always the same.
struct ConstantRate {
  double rate = 0;
  [[nodiscard]] double operator()(std::int64_t) const noexcept { return rate; }
};

/// In a straight line from `first` at step 0 to `last` at step `steps`, where it stays.
struct LinearRate {
  double first = 0;
  double last = 0;
  std::int64_t steps = 1;
  [[nodiscard]] double operator()(std::int64_t step) const noexcept {
    if (step >= steps) return last;
    return first + (last - first) * static_cast<double>(step) / static_cast<double>(steps);
  }
};

/// Half a cosine from `first` at step 0 to `last` at step `steps`, where it stays (arXiv 1608.03983, equation 5,
/// without restarts).
struct CosineRate {
  double first = 0;
  double last = 0;
  std::int64_t steps = 1;
  [[nodiscard]] double operator()(std::int64_t step) const noexcept {
    if (step >= steps) return last;
    const double phase = std::numbers::pi * static_cast<double>(step) / static_cast<double>(steps);
    return last + 0.5 * (first - last) * (1 + std::cos(phase));
  }
};

/// Times `factor` after every `every` steps.
struct StepRate {
  double first = 0;
  double factor = 0.1;
  std::int64_t every = 1;
  [[nodiscard]] double operator()(std::int64_t step) const noexcept {
    return first * std::pow(factor, static_cast<double>(step / every));
  }
};

/// In a straight line up to the first rate of another schedule, which it reaches at step `steps` - 1, and then that
/// schedule from its step 0 on: WarmUp{100, CosineRate{3e-4, 3e-5, 900}} ends at step 1000.
template <class Schedule>
struct WarmUp {
  std::int64_t steps = 0;
  Schedule then;
  [[nodiscard]] double operator()(std::int64_t step) const noexcept {
    if (step >= steps) return then(step - steps);
    return then(0) * static_cast<double>(step + 1) / static_cast<double>(steps);
  }
};
template <class Schedule>
WarmUp(std::int64_t, Schedule) -> WarmUp<Schedule>;

}  // namespace stepscan::inline STEPSCAN_ISA
