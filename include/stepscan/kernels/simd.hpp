#pragma once

#include <concepts>
#include <cstdint>
#include <stepscan/core/config.hpp>
#include <stepscan/kernels/simd_x86.hpp>
#include <type_traits>
#include <xsimd/xsimd.hpp>

/// SIMD registers: the only file that knows xsimd and its versions (8.1 and later). Kernels are templates over a
/// register type V (Simd<float> or Simd<double>), with the operators + - * / and < <= > >= == of xsimd. The functions
/// here are overloads, not templates, so that an unqualified call takes them and never xsimd's of the same name.
namespace stepscan::inline STEPSCAN_ISA {

/// The widest register of T (float, double, or a fixed-width integer) of the instruction set in use.
template <class T>
using Simd = xsimd::batch<T>;

/// What a comparison of two Simd<T> gives.
template <class T>
using SimdMask = xsimd::batch_bool<T>;

template <class V>
concept SimdRegister = std::same_as<V, Simd<float>> || std::same_as<V, Simd<double>>;

/// Number of T in a register.
template <class T>
inline constexpr Index simd_width = static_cast<Index>(Simd<T>::size);

/// Number of SIMD registers that the instruction set names, for sizing register tiles.
#if defined(__AVX512F__) || defined(__aarch64__) || defined(__riscv) || defined(__powerpc64__)
inline constexpr int register_count = 32;
#else
inline constexpr int register_count = 16;
#endif

/// A register with the same value in every lane.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V broadcast(typename V::value_type value) noexcept {
  return V(value);
}

namespace detail {

/// The unsigned integer of the size of T.
template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// The registers `a` for which the x86 intrinsics of simd_x86.hpp exist.
template <class V>
concept HasX86Fma = requires(V a) {
  x86::fma(a.data, a.data, a.data);
};
template <class V>
concept HasX86Fnma = requires(V a) {
  x86::fnma(a.data, a.data, a.data);
};
template <class V>
concept HasX86Extrema = requires(V a) {
  x86::max(a.data, a.data);
};
template <class V>
concept HasX86Sqrt = requires(V a) {
  x86::sqrt(a.data);
};
template <class V>
concept HasX86Sum = requires(V a) {
  x86::sum(a.data);
};
template <class V>
concept HasX86SumEach = requires(V a) {
  x86::sum_each(&a.data);
};
template <class V>
concept HasX86Shift = requires(V a) {
  x86::shift_left<1>(a.data, x86::LaneBytes<4>());
};
template <class V>
concept HasX86FirstLanes = requires(V a) {
  x86::first_lanes<1>(a.data, a.data);
};
template <class V>
concept HasX86Partial = requires(V a, typename V::value_type* p) {
  x86::store_n(p, a.data, 0);
};

/// The same bits as U in each lane; xsimd names the result by the register at first, by the lane in later versions.
template <class U, class V>
[[nodiscard, gnu::always_inline]] inline Simd<U> bit_cast_lanes(V x) noexcept {
  if constexpr (requires {
                  { xsimd::bitwise_cast<U>(x) } -> std::same_as<Simd<U>>;
                }) {
    return xsimd::bitwise_cast<U>(x);
  } else {
    return xsimd::bitwise_cast<Simd<U>>(x);
  }
}

/// The bits of every lane shifted by Count, zeros moving in.
template <int Count, class U>
[[nodiscard, gnu::always_inline]] inline Simd<U> shift_left(Simd<U> x) noexcept {
  if constexpr (HasX86Shift<Simd<U>>) {
    return Simd<U>(x86::shift_left<Count>(x.data, x86::LaneBytes<sizeof(U)>()));
  } else {
    return x << Count;
  }
}
template <int Count, class U>
[[nodiscard, gnu::always_inline]] inline Simd<U> shift_right(Simd<U> x) noexcept {
  if constexpr (HasX86Shift<Simd<U>>) {
    return Simd<U>(x86::shift_right<Count>(x.data, x86::LaneBytes<sizeof(U)>()));
  } else {
    return x >> Count;
  }
}

/// Apart from the rest of detail, where these names would hide the overloads below.
namespace generic {

template <class V>
[[nodiscard, gnu::always_inline]] inline V fma(V a, V b, V c) noexcept {
  if constexpr (HasX86Fma<V>) {
    return V(x86::fma(a.data, b.data, c.data));
  } else {
    return xsimd::fma(a, b, c);
  }
}

template <class V>
[[nodiscard, gnu::always_inline]] inline V fnma(V a, V b, V c) noexcept {
  if constexpr (HasX86Fnma<V>) {
    return V(x86::fnma(a.data, b.data, c.data));
  } else {
    return xsimd::fnma(a, b, c);
  }
}

template <class V>
[[nodiscard, gnu::always_inline]] inline V max(V a, V b) noexcept {
  if constexpr (HasX86Extrema<V>) {
    return V(x86::max(a.data, b.data));
  } else {
    return xsimd::select(a > b, a, b);
  }
}

template <class V>
[[nodiscard, gnu::always_inline]] inline V min(V a, V b) noexcept {
  if constexpr (HasX86Extrema<V>) {
    return V(x86::min(a.data, b.data));
  } else {
    return xsimd::select(a < b, a, b);
  }
}

template <class V>
[[nodiscard, gnu::always_inline]] inline V sqrt(V x) noexcept {
  if constexpr (HasX86Sqrt<V>) {
    return V(x86::sqrt(x.data));
  } else {
    return xsimd::sqrt(x);
  }
}

template <class T>
[[nodiscard, gnu::always_inline]] inline T sum(Simd<T> x) noexcept {
  if constexpr (HasX86Sum<Simd<T>>) {
    return x86::sum(x.data);
  } else if constexpr (requires { reduce_add(x); }) {
    return reduce_add(x);
  } else {
    return hadd(x);
  }
}

template <class T>
[[nodiscard, gnu::always_inline]] inline Simd<T> load_n(const T* p, Index n) noexcept {
  STEPSCAN_ASSERT(0 <= n && n <= simd_width<T>);
  if constexpr (HasX86Partial<Simd<T>>) {
    return Simd<T>(x86::load_n(p, static_cast<int>(n)));
  } else {
    alignas(sizeof(Simd<T>)) T buffer[static_cast<std::size_t>(simd_width<T>)] = {};
    for (Index i = 0; i < n; ++i) buffer[i] = p[i];
    return Simd<T>::load_aligned(buffer);
  }
}

template <class T>
[[gnu::always_inline]] inline void store_n(T* p, Simd<T> x, Index n) noexcept {
  STEPSCAN_ASSERT(0 <= n && n <= simd_width<T>);
  if constexpr (HasX86Partial<Simd<T>>) {
    x86::store_n(p, x.data, static_cast<int>(n));
  } else {
    alignas(sizeof(Simd<T>)) T buffer[static_cast<std::size_t>(simd_width<T>)];
    x.store_aligned(buffer);
    for (Index i = 0; i < n; ++i) p[i] = buffer[i];
  }
}

}  // namespace generic

}  // namespace detail

/// Loads a full register from memory of any alignment.
[[nodiscard, gnu::always_inline]] inline Simd<float> load(const float* p) noexcept {
  return Simd<float>::load_unaligned(p);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> load(const double* p) noexcept {
  return Simd<double>::load_unaligned(p);
}

/// Stores a full register to memory of any alignment.
[[gnu::always_inline]] inline void store(float* p, Simd<float> x) noexcept { x.store_unaligned(p); }
[[gnu::always_inline]] inline void store(double* p, Simd<double> x) noexcept { x.store_unaligned(p); }

/// Loads the first n lanes, 0 <= n <= width, and zero in the others. Touches no memory past p[n - 1].
[[nodiscard, gnu::always_inline]] inline Simd<float> load_n(const float* p, Index n) noexcept {
  return detail::generic::load_n(p, n);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> load_n(const double* p, Index n) noexcept {
  return detail::generic::load_n(p, n);
}

/// Stores the first n lanes, 0 <= n <= width. Touches no memory past p[n - 1].
[[gnu::always_inline]] inline void store_n(float* p, Simd<float> x, Index n) noexcept {
  detail::generic::store_n(p, x, n);
}
[[gnu::always_inline]] inline void store_n(double* p, Simd<double> x, Index n) noexcept {
  detail::generic::store_n(p, x, n);
}

/// a * b + c, rounded once where the instruction set can (x86 with FMA, aarch64), twice elsewhere.
[[nodiscard, gnu::always_inline]] inline Simd<float> fma(Simd<float> a, Simd<float> b, Simd<float> c) noexcept {
  return detail::generic::fma(a, b, c);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> fma(Simd<double> a, Simd<double> b, Simd<double> c) noexcept {
  return detail::generic::fma(a, b, c);
}

/// c - a * b, rounded as fma.
[[nodiscard, gnu::always_inline]] inline Simd<float> fnma(Simd<float> a, Simd<float> b, Simd<float> c) noexcept {
  return detail::generic::fnma(a, b, c);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> fnma(Simd<double> a, Simd<double> b, Simd<double> c) noexcept {
  return detail::generic::fnma(a, b, c);
}

/// a > b ? a : b. A NaN in b is returned; a NaN in a may be dropped.
[[nodiscard, gnu::always_inline]] inline Simd<float> max(Simd<float> a, Simd<float> b) noexcept {
  return detail::generic::max(a, b);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> max(Simd<double> a, Simd<double> b) noexcept {
  return detail::generic::max(a, b);
}

/// a < b ? a : b. A NaN in b is returned; a NaN in a may be dropped.
[[nodiscard, gnu::always_inline]] inline Simd<float> min(Simd<float> a, Simd<float> b) noexcept {
  return detail::generic::min(a, b);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> min(Simd<double> a, Simd<double> b) noexcept {
  return detail::generic::min(a, b);
}

/// x kept inside [low, high]; NaN stays NaN.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V clamp(V x, typename V::value_type low,
                                                 typename V::value_type high) noexcept {
  return min(V(high), max(V(low), x));
}

/// Lane by lane: mask ? a : b.
[[nodiscard, gnu::always_inline]] inline Simd<float> select(SimdMask<float> mask, Simd<float> a,
                                                            Simd<float> b) noexcept {
  return xsimd::select(mask, a, b);
}
[[nodiscard, gnu::always_inline]] inline Simd<double> select(SimdMask<double> mask, Simd<double> a,
                                                             Simd<double> b) noexcept {
  return xsimd::select(mask, a, b);
}

/// The first Count lanes of a, 0 <= Count < width, the others of b.
template <int Count, SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V first_lanes(V a, V b) noexcept {
  if constexpr (detail::HasX86FirstLanes<V>) {
    return V(detail::x86::first_lanes<Count>(a.data, b.data));
  } else {
    using T = typename V::value_type;
    alignas(sizeof(V)) T lanes[V::size] = {};
    for (int i = 0; i < Count; ++i) lanes[i] = T(1);
    return select(V::load_aligned(lanes) > V(T(0)), a, b);
  }
}

/// Whether the comparison holds in every lane.
[[nodiscard, gnu::always_inline]] inline bool all(SimdMask<float> mask) noexcept { return xsimd::all(mask); }
[[nodiscard, gnu::always_inline]] inline bool all(SimdMask<double> mask) noexcept { return xsimd::all(mask); }

/// Square root, correctly rounded.
[[nodiscard, gnu::always_inline]] inline Simd<float> sqrt(Simd<float> x) noexcept { return detail::generic::sqrt(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> sqrt(Simd<double> x) noexcept { return detail::generic::sqrt(x); }

/// Sum of all lanes. The order of additions depends on the instruction set.
[[nodiscard, gnu::always_inline]] inline float sum(Simd<float> x) noexcept { return detail::generic::sum(x); }
[[nodiscard, gnu::always_inline]] inline double sum(Simd<double> x) noexcept { return detail::generic::sum(x); }

/// Lane i is the sum of all lanes of x[i], of as many registers as one has lanes.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V sum_each(const V* x) noexcept {
  using T = typename V::value_type;
  constexpr int count = static_cast<int>(V::size);
  if constexpr (detail::HasX86SumEach<V>) {
    decltype(V::data) registers[count];
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) registers[i] = x[i].data;
    return V(detail::x86::sum_each(registers));
  } else {
    alignas(sizeof(V)) T sums[count];
    for (int i = 0; i < count; ++i) sums[i] = sum(x[i]);
    return V::load_aligned(sums);
  }
}

/// The sign bit of each lane, alone: +0 or -0.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline V sign_bit(V x) noexcept {
  return x & V(typename V::value_type(-0.0));
}

/// |x|, by clearing the sign bit.
[[nodiscard, gnu::always_inline]] inline Simd<float> abs(Simd<float> x) noexcept { return x ^ sign_bit(x); }
[[nodiscard, gnu::always_inline]] inline Simd<double> abs(Simd<double> x) noexcept { return x ^ sign_bit(x); }

/// y[i] = f(x[i]) for 0 <= i < n, f from Simd<T> to Simd<T>. y == x is allowed, other overlaps are not. f also runs on
/// the zeros that pad the last register.
template <class T, class F>
requires SimdRegister<Simd<T>>
[[gnu::always_inline]] inline void transform(T* y, const T* x, Index n, F f) noexcept {
  constexpr Index width = simd_width<T>;
  for (Index i = 0; i < n; i += width) {
    const Index left = n - i;
    if (left >= width) {
      store(y + i, f(load(x + i)));
    } else {
      store_n(y + i, f(load_n(x + i, left)), left);
    }
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
