#pragma once

#include <stepscan/layers/forms.hpp>
#include <stepscan/scan/executors.hpp>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// The schedule of an op that a form stands for.
constexpr ScanSchedule schedule_of(Recurrent) noexcept { return {}; }
constexpr ScanSchedule schedule_of(Convolution) noexcept { return {}; }
template <Index Tokens>
constexpr ScanSchedule schedule_of(Chunked<Tokens>) noexcept {
  return {Tokens, false};
}
template <Index Tokens>
constexpr ScanSchedule schedule_of(Parallel<Tokens>) noexcept {
  return {Tokens, true};
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
