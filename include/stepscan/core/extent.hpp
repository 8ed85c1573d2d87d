#pragma once

#include <stepscan/core/config.hpp>
#include <stepscan/core/error.hpp>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// Out of the way of those whose size is right.
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_size(Index expected, Index found) {
  fail<ShapeError>("expected size " + std::to_string(expected) + ", found " + std::to_string(found));
}

}  // namespace detail

/// A size that is part of the type (N >= 0, takes no space) or a value (N == Dynamic). Reads as an Index.
template <Index N>
class Extent {
 public:
  static constexpr Index fixed = N;

  constexpr Extent() noexcept = default;
  /// Throws ShapeError when the given size is not N.
  constexpr Extent(Index size) {
    if (size != N) detail::refuse_size(N, size);
  }
  constexpr operator Index() const noexcept { return N; }
};

template <>
class Extent<Dynamic> {
 public:
  static constexpr Index fixed = Dynamic;

  constexpr Extent() noexcept = default;
  constexpr Extent(Index size) noexcept : size_(size) {}
  constexpr operator Index() const noexcept { return size_; }

 private:
  Index size_ = 0;
};

/// Arithmetic on sizes in template arguments: Dynamic as soon as one of them is.
constexpr Index static_product(Index a, Index b) { return a == Dynamic || b == Dynamic ? Dynamic : a * b; }
constexpr Index static_sum(Index a, Index b) { return a == Dynamic || b == Dynamic ? Dynamic : a + b; }

/// Whether two sizes in template arguments can be the same size at run time.
constexpr bool compatible(Index a, Index b) { return a == Dynamic || b == Dynamic || a == b; }

}  // namespace stepscan::inline STEPSCAN_ISA
