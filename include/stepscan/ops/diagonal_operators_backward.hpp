#pragma once

#include <stepscan/ops/diagonal_operators.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Cotangents of one feature's modes, each [modes].
struct ModeCotangents {
  Planes<double*, 2> a;
  Planes<double*, 2> c;
  Planes<double*, 2> b;
  double skip = 0;
  [[nodiscard]] std::complex<double> of_a(Index n) const noexcept { return {a[0][n], a[1][n]}; }
  [[nodiscard]] std::complex<double> of_c(Index n) const noexcept { return {c[0][n], c[1][n]}; }
  [[nodiscard]] std::complex<double> of_b(Index n) const noexcept { return {b[0][n], b[1][n]}; }
};

namespace detail {

/// conj(a) x.
template <SimdRegister V>
[[nodiscard, gnu::always_inline]] inline Planes<V, 2> multiply_conjugate(const Planes<V, 2>& a,
                                                                         const Planes<V, 2>& x) noexcept {
  return {fma(a[0], x[0], a[1] * x[1]), fnma(a[1], x[0], a[0] * x[1])};
}

/// Doubles of scratch of diagonal_operators_backward.
[[nodiscard]] constexpr Index diagonal_backward_room(Index modes, Index chunk) noexcept {
  return (chunk + 8) * 2 * modes;
}

/// From the cotangents d of a feature's operators to those of its modes, in `room`. With p the powers a^i,
///   g_p[i] = conj(c) dR[i-1] + conj(b) dW[C-1-i] + conj(c b) dK[i] + conj(a) g_p[i+1]
///   da = sum_i conj(p[i-1]) g_p[i]
template <Scalar S>
[[nodiscard]] ModeCotangents diagonal_operators_backward(const DiagonalSystem& system, Index feature, Index chunk,
                                                         const ChunkOperators<const S>& d, double* room) noexcept {
  const Index modes = system.modes, states = 2 * modes;
  const auto a = feature_row(system.a, modes, feature), c = feature_row(system.c, modes, feature);
  double* powers = room;
  double* next = powers + (chunk + 1) * states;
  const auto take = [&] { return complex_row(next, modes, 0); };
  ModeCotangents g;
  for (Planes<double*, 2>* plane : {&g.a, &g.c, &g.b}) {
    *plane = take();
    std::fill_n(next, states, 0.0);
    next += states;
  }
  const Planes<double*, 2> behind = take();  // conj(a) g_p[i + 1]
  std::fill_n(next, states, 0.0);
  next += states;
  double* read = next;
  double* write = read + states;
  fill_powers(a, modes, chunk, powers);
  const auto b =
      system.has_input() ? feature_row(system.b, modes, feature) : complex_row<const double>(powers, modes, 0);
  for (Index i = chunk; i >= 0; --i) {
    const double dk = i < chunk ? static_cast<double>(d.response[chunk - 1 + i]) : 0.0;
    for (Index n = 0; n < modes; ++n) {
      read[n] = i > 0 ? static_cast<double>(d.read[n * chunk + i - 1]) : 0.0;
      read[modes + n] = i > 0 ? -static_cast<double>(d.read[(modes + n) * chunk + i - 1]) : 0.0;
    }
    for (Index s = 0; s < states; ++s) {
      write[s] = i < chunk ? static_cast<double>(d.write[(chunk - 1 - i) * states + s]) : 0.0;
    }
    const double* extra_from = nullptr;
    double* extra = write + states;
    if (i == chunk || i == 1) {
      std::fill_n(extra, states, 0.0);
      for (Index s = 0; s < states; ++s) {
        if (i == chunk) extra[s] += static_cast<double>(d.carry[s]);
        if (i == 1) extra[s] += static_cast<double>(d.advance[s]);
      }
      extra_from = extra;
    }
    for_each_lanes<double>(modes, [&](Index n, auto lanes) {
      using V = Simd<double>;
      const auto an = load_planes(lanes, a, n), bn = load_planes(lanes, b, n), cn = load_planes(lanes, c, n);
      const auto power = load_planes(lanes, complex_row<const double>(powers, modes, i), n);
      const auto dread = load_planes(lanes, complex_row<const double>(read, modes, 0), n);
      const auto dwrite = load_planes(lanes, complex_row<const double>(write, modes, 0), n);
      // dR joins b dK: both multiply c a^i, the latter by a real number
      const Planes<V, 2> through_c = add(dread, {bn[0] * V(dk), V(0) - bn[1] * V(dk)});
      store_planes(lanes, g.c, n, add(load_planes(lanes, g.c, n), multiply_conjugate(power, through_c)));
      const Planes<V, 2> through_b = add(dwrite, {cn[0] * V(dk), V(0) - cn[1] * V(dk)});
      store_planes(lanes, g.b, n, add(load_planes(lanes, g.b, n), multiply_conjugate(power, through_b)));
      if (i == 0) return;
      Planes<V, 2> sum = add(load_planes(lanes, behind, n), multiply_conjugate(cn, through_c));
      sum = add(sum, multiply_conjugate(bn, dwrite));
      if (extra_from != nullptr) sum = add(sum, load_planes(lanes, complex_row<const double>(extra_from, modes, 0), n));
      const auto before = load_planes(lanes, complex_row<const double>(powers, modes, i - 1), n);
      store_planes(lanes, g.a, n, add(load_planes(lanes, g.a, n), multiply_conjugate(before, sum)));
      store_planes(lanes, behind, n, multiply_conjugate(an, sum));
    });
  }
  g.skip = static_cast<double>(d.response[chunk - 1]);
  return g;
}

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
