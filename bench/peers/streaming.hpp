#pragma once

#include <stepscan/layers/gru.hpp>
#include <stepscan/layers/lstm.hpp>
#include <utility>

/// One token of batch 1 and one input, sizes known to the compiler, as amplifier models run it.
namespace peers {

using namespace stepscan;

template <Index Hidden>
using StreamingLstm = Lstm<float, 1, Hidden>;
template <Index Hidden>
using StreamingGru = Gru<float, 1, Hidden>;

/// Calls `one(size)` with each number of units that is compared, as a std::integral_constant.
template <class One>
void for_each_streaming_size(One one) {
  const auto all = [&]<Index... Hidden>(std::integer_sequence<Index, Hidden...>) {
    (one(std::integral_constant<Index, Hidden>{}), ...);
  };
  all(std::integer_sequence<Index, 8, 16, 20, 32, 40, 64, 128, 256>{});
}

}  // namespace peers
