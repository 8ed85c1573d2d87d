#pragma once

#include <array>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>

/// Real and complex numbers in one code: P planes, one for real numbers, two (real parts, imaginary parts) for complex.
/// A tensor of complex numbers is two tensors.
namespace stepscan::inline STEPSCAN_ISA {

template <class T, std::size_t P>
using Planes = std::array<T, P>;

/// a x + b, of registers.
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline Planes<V, P> multiply_add(const Planes<V, P>& a, const Planes<V, P>& x,
                                                                   const Planes<V, P>& b) noexcept {
  static_assert(P == 1 || P == 2);
  if constexpr (P == 1) {
    return {fma(a[0], x[0], b[0])};
  } else {
    return {b[0] + fma(a[0], x[0], V(0) - a[1] * x[1]), b[1] + fma(a[0], x[1], a[1] * x[0])};
  }
}

/// a x.
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline Planes<V, P> multiply(const Planes<V, P>& a, const Planes<V, P>& x) noexcept {
  if constexpr (P == 1) {
    return {a[0] * x[0]};
  } else {
    return {fma(a[0], x[0], V(0) - a[1] * x[1]), fma(a[0], x[1], a[1] * x[0])};
  }
}

/// a + b.
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline Planes<V, P> add(Planes<V, P> a, const Planes<V, P>& b) noexcept {
  for (std::size_t k = 0; k < P; ++k) a[k] = a[k] + b[k];
  return a;
}

/// The complex conjugate; real numbers as they are.
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline Planes<V, P> conjugate(const Planes<V, P>& a) noexcept {
  if constexpr (P == 1) {
    return a;
  } else {
    return {a[0], V(0) - a[1]};
  }
}

/// c + Re(a b), and c + Re(conj(a) b).
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline V add_real_product(const Planes<V, P>& a, const Planes<V, P>& b,
                                                            V c) noexcept {
  const V sum = fma(a[0], b[0], c);
  if constexpr (P == 1) {
    return sum;
  } else {
    return fma(V(0) - a[1], b[1], sum);
  }
}
template <SimdRegister V, std::size_t P>
[[nodiscard, gnu::always_inline]] inline V add_dot(const Planes<V, P>& a, const Planes<V, P>& b, V c) noexcept {
  const V sum = fma(a[0], b[0], c);
  if constexpr (P == 1) {
    return sum;
  } else {
    return fma(a[1], b[1], sum);
  }
}

/// The planes from element `at` on.
template <class T, std::size_t P>
[[nodiscard, gnu::always_inline]] constexpr Planes<T*, P> advance(Planes<T*, P> p, Index at) noexcept {
  for (T*& plane : p) plane += at;
  return p;
}

/// P planes of `size` numbers one behind the other.
template <std::size_t P, class T>
[[nodiscard, gnu::always_inline]] constexpr Planes<T*, P> planes_at(T* memory, Index size) noexcept {
  Planes<T*, P> p;
  for (std::size_t k = 0; k < P; ++k) p[k] = memory + static_cast<Index>(k) * size;
  return p;
}

/// Loads and stores element `at` of every plane, as lanes do.
template <class Lanes, class T, std::size_t P>
[[nodiscard, gnu::always_inline]] inline auto load_planes(const Lanes& lanes, const Planes<T*, P>& p,
                                                          Index at) noexcept {
  Planes<Simd<std::remove_const_t<T>>, P> x;
  for (std::size_t k = 0; k < P; ++k) x[k] = lanes.load(p[k] + at);
  return x;
}
template <class Lanes, class T, std::size_t P>
[[gnu::always_inline]] inline void store_planes(const Lanes& lanes, const Planes<T*, P>& p, Index at,
                                                const Planes<Simd<T>, P>& x) noexcept {
  for (std::size_t k = 0; k < P; ++k) lanes.store(p[k] + at, x[k]);
}

/// The token at time t of batch member b, in every plane.
template <class T, std::size_t P>
[[nodiscard]] Planes<T*, P> token(const Planes<SequenceView<T>, P>& x, Index b, Index t) noexcept {
  Planes<T*, P> at;
  for (std::size_t k = 0; k < P; ++k) at[k] = x[k].token(b, t);
  return at;
}

/// Row r of every plane.
template <class T, std::size_t P>
[[nodiscard]] Planes<T*, P> row(const Planes<MatrixView<T>, P>& x, Index r) noexcept {
  Planes<T*, P> at;
  for (std::size_t k = 0; k < P; ++k) at[k] = x[k].row(r);
  return at;
}

}  // namespace stepscan::inline STEPSCAN_ISA
