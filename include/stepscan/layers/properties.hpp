#pragma once

#include <algorithm>
#include <limits>
#include <stepscan/core/config.hpp>

/// What a layer's type says of it beside its sizes and forms: members of every layer (layers/layer.hpp), which the
/// combinators compose.
namespace stepscan::inline STEPSCAN_ISA {

/// A receptive field without end: of whatever carries a state through the whole sequence.
inline constexpr Index unbounded = std::numeric_limits<Index>::max();

namespace detail {

/// The receptive field of one layer behind another, or of one that looks back beside one that looks ahead.
constexpr Index joined_fields(Index a, Index b) {
  if (a == unbounded || b == unbounded) return unbounded;
  return a == Dynamic || b == Dynamic ? Dynamic : a + b - 1;
}

/// The same for one layer behind itself, `times` in all.
constexpr Index repeated_fields(Index field, Index times) {
  return field == unbounded || field == Dynamic ? field : times * (field - 1) + 1;
}

/// The receptive field of layers side by side.
constexpr Index widest_field(Index a, Index b) {
  if (a == unbounded || b == unbounded) return unbounded;
  return a == Dynamic || b == Dynamic ? Dynamic : std::max(a, b);
}

/// Joined for any number of layers.
template <class First, class... Rest>
constexpr Index chained_fields() {
  Index field = First::receptive_field;
  ((field = joined_fields(field, Rest::receptive_field)), ...);
  return field;
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
