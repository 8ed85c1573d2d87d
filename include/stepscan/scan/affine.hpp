#pragma once

#include <algorithm>
#include <stepscan/scan/monoid.hpp>
#include <stepscan/scan/planes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The maps h -> a h + b of vectors, a diagonal, real (P = 1) or complex (P = 2). An element is a pair of vectors (a,
/// b) somewhere in memory:
///   (a, b) then (a', b') = (a' a, a' b + b'),   identity (1, 0),   action h -> a h + b
/// Results may be written over an operand.
template <Scalar S, std::size_t P = 1>
struct DiagonalAffine {
  struct Element {
    Planes<S*, P> a;
    Planes<S*, P> b;
  };
  using State = Planes<S*, P>;

  Index size = 0;

  void identity(const Element& out) const noexcept {
    for (std::size_t k = 0; k < P; ++k) {
      std::fill_n(out.a[k], size, k == 0 ? S{1} : S{0});
      std::fill_n(out.b[k], size, S{0});
    }
  }

  void combine(const Element& earlier, const Element& later, const Element& out) const noexcept {
    for_each_lanes<S>(size, [&](Index i, auto lanes) {
      const auto a = load_planes(lanes, later.a, i);
      const auto b = multiply_add(a, load_planes(lanes, earlier.b, i), load_planes(lanes, later.b, i));
      store_planes(lanes, out.a, i, multiply(a, load_planes(lanes, earlier.a, i)));
      store_planes(lanes, out.b, i, b);
    });
  }

  void act(const Element& element, const State& from, const State& to) const noexcept {
    for_each_lanes<S>(size, [&](Index i, auto lanes) {
      const auto h = load_planes(lanes, from, i);
      store_planes(lanes, to, i, multiply_add(load_planes(lanes, element.a, i), h, load_planes(lanes, element.b, i)));
    });
  }
};
static_assert(Action<DiagonalAffine<float>> && Action<DiagonalAffine<double, 2>>);

}  // namespace stepscan::inline STEPSCAN_ISA
