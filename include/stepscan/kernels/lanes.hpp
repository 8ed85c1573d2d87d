#pragma once

#include <array>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/simd.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// All lanes of a register: how a pointwise loop loads and stores its body.
template <Scalar S>
struct FullLanes {
  [[nodiscard]] static Simd<S> load(const S* p) noexcept { return stepscan::load(p); }
  static void store(S* p, Simd<S> x) noexcept { stepscan::store(p, x); }
  /// x, with zero in the lanes that are not stored.
  [[nodiscard]] static Simd<S> inside(Simd<S> x) noexcept { return x; }
};

/// 0, 1, 2, ... of the lanes of a register.
template <Scalar S>
inline constexpr auto lane_numbers = [] {
  std::array<S, static_cast<std::size_t>(simd_width<S>)> lanes{};
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = static_cast<S>(i);
  return lanes;
}();

/// The first `count` lanes of a register: how a pointwise loop loads and stores its tail.
template <Scalar S>
struct PartialLanes {
  Index count;
  [[nodiscard]] Simd<S> load(const S* p) const noexcept { return load_n(p, count); }
  void store(S* p, Simd<S> x) const noexcept { store_n(p, x, count); }
  [[nodiscard]] Simd<S> inside(Simd<S> x) const noexcept {
    return select(stepscan::load(lane_numbers<S>.data()) < Simd<S>(static_cast<S>(count)), x, Simd<S>(S{0}));
  }
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

/// The sums over i = 0, width, 2 width, ... below n of the Count registers that f(i, lanes) gives, all their lanes that
/// lie below n added up. Four chains of additions at a time; their order depends on n alone.
template <Scalar S, std::size_t Count, class F>
[[nodiscard]] inline std::array<S, Count> sum_lanes(Index n, F&& f) noexcept {
  constexpr Index width = simd_width<S>, chains = 4 / static_cast<Index>(Count);
  static_assert(chains > 0);
  std::array<std::array<Simd<S>, Count>, static_cast<std::size_t>(chains)> partial;
  for (auto& chain : partial) chain.fill(Simd<S>(S{0}));
  const auto add = [&](auto& chain, Index i, auto lanes) {
    const std::array<Simd<S>, Count> terms = f(i, lanes);
    for (std::size_t k = 0; k < Count; ++k) chain[k] = chain[k] + lanes.inside(terms[k]);
  };
  Index i = 0;
  for (; i + chains * width <= n; i += chains * width) {
    for (Index c = 0; c < chains; ++c) add(partial[static_cast<std::size_t>(c)], i + c * width, FullLanes<S>{});
  }
  for (; i + width <= n; i += width) add(partial.front(), i, FullLanes<S>{});
  if (i < n) add(partial.back(), i, PartialLanes<S>{n - i});
  std::array<S, Count> sums;
  for (std::size_t k = 0; k < Count; ++k) {
    Simd<S> all = partial.front()[k];
    for (std::size_t c = 1; c < partial.size(); ++c) all = all + partial[c][k];
    sums[k] = sum(all);
  }
  return sums;
}

}  // namespace stepscan::inline STEPSCAN_ISA
