#pragma once

#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/simd.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// All lanes of a register: how a pointwise loop loads and stores its body.
template <Scalar S>
struct FullLanes {
  [[nodiscard]] static Simd<S> load(const S* p) noexcept { return stepscan::load(p); }
  static void store(S* p, Simd<S> x) noexcept { stepscan::store(p, x); }
};

/// The first `count` lanes of a register: how a pointwise loop loads and stores its tail.
template <Scalar S>
struct PartialLanes {
  Index count;
  [[nodiscard]] Simd<S> load(const S* p) const noexcept { return load_n(p, count); }
  void store(S* p, Simd<S> x) const noexcept { store_n(p, x, count); }
};

/// Calls f(i, lanes) for i = 0, width, 2 width, ... below n; lanes.load(p) and lanes.store(p, x) never touch what lies
/// behind element n.
template <Scalar S, class F>
[[gnu::always_inline]] inline void for_each_lanes(Index n, F&& f) noexcept {
  constexpr Index width = simd_width<S>;
  Index i = 0;
  for (; i + width <= n; i += width) f(i, FullLanes<S>{});
  if (i < n) f(i, PartialLanes<S>{n - i});
}

}  // namespace stepscan::inline STEPSCAN_ISA
