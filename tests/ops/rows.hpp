#pragma once

#include <stepscan/core/random.hpp>
#include <stepscan/core/tensor.hpp>

namespace stepscan::testing {

template <class S>
using Rows = Tensor<S, Dynamic, Dynamic>;

/// Uniform in offset +- scale.
template <class S>
[[nodiscard]] Rows<S> random_rows(Index rows, Index features, std::uint64_t seed, double scale = 1, double offset = 0) {
  Rows<S> values(rows, features);
  Random random(seed);
  for (S& value : values) value = static_cast<S>(offset + scale * random.uniform(-1, 1));
  return values;
}

}  // namespace stepscan::testing
