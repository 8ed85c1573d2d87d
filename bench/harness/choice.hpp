#pragma once

#include <stepscan/core/config.hpp>
#include <vector>

/// How much of the benchmarks is asked for.
namespace bench {

using stepscan::Index;

/// Whether `--quick` was given: fewer lengths, and none that takes long.
inline bool quick = false;

/// The lengths of the curves over time.
[[nodiscard]] inline std::vector<Index> lengths() {
  std::vector<Index> all;
  for (Index time = 16; time <= (quick ? 4096 : 16384); time *= quick ? 4 : 2) all.push_back(time);
  return all;
}

/// Lengths for forward and backward pass.
[[nodiscard]] inline std::vector<Index> training_lengths() {
  return quick ? std::vector<Index>{1024} : std::vector<Index>{64, 256, 1024, 4096};
}

/// A case whose floor is above this is left out.
[[nodiscard]] inline double longest_seconds() { return quick ? 0.05 : 1.5; }

/// Each program's benchmarks.
void add_benchmarks();

}  // namespace bench
