#pragma once

#include <array>
#include <stepscan/core/config.hpp>

/// What this machine can do at most, and what a benchmark has to do at least: its floor is the time of the one at the
/// speed of the other.
namespace bench {

using stepscan::Index;

/// The most that so many threads reach together, measured in this process.
struct Ceilings {
  double flops;                     ///< floating-point operations a second, of Eigen's matrix product of 512
  double exps;                      ///< exponentials a second, in float
  std::array<double, 4> bandwidth;  ///< bytes read a second from the three levels of cache and from memory
};

/// Bytes that pass through, and the room they lie in, which says how near they can be kept.
struct Traffic {
  double bytes = 0;
  double room = 0;
};

/// The least work of a call, whatever the form.
struct Work {
  double tokens = 1;
  double flops = 0;
  double exps = 0;
  Traffic weights = {};
  Traffic data = {};  ///< inputs, outputs and states
};

/// Measured when first asked for, in a third of a second a thread count.
[[nodiscard]] const Ceilings& ceilings(int threads);

/// Arithmetic and memory traffic overlap: the longer of them, in seconds.
[[nodiscard]] double floor_seconds(const Work& work, int threads);

/// Writes the ceilings of one thread and of two beside the results ("ceiling/product/threads:1": "1.1e+11"), and where
/// OpenBLAS is found the rate of its product, by which no floor is counted.
void add_ceilings_to_context();

/// The yardstick beside which all times are read: one single-thread matrix product of 512, by Eigen.
void add_matrix_product();

}  // namespace bench
