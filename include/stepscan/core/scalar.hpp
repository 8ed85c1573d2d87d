#pragma once

#include <concepts>
#include <stepscan/core/config.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The number types that layers compute in.
template <class S>
concept Scalar = std::same_as<S, float> || std::same_as<S, double>;

}  // namespace stepscan::inline STEPSCAN_ISA
