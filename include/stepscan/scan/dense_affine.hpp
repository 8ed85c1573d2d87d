#pragma once

#include <algorithm>
#include <stepscan/kernels/dot.hpp>
#include <stepscan/scan/monoid.hpp>
#include <stepscan/scan/planes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The maps h -> A h + b of matrices h [rows, cols], A [rows, rows] dense, real (P = 1) or complex (P = 2):
///   (A, b) then (A', b') = (A' A, A' b + b')
/// Results are written to a third element or state.
template <Scalar S, std::size_t P = 1>
struct DenseAffine {
  /// A and b, row-major. Operands may be const.
  template <class T>
  struct View {
    Planes<T*, P> a;
    Planes<T*, P> b;
    operator View<const T>() const noexcept requires(!std::is_const_v<T>) {
      View<const T> view;
      for (std::size_t k = 0; k < P; ++k) {
        view.a[k] = a[k];
        view.b[k] = b[k];
      }
      return view;
    }
  };
  using Element = View<S>;
  using ConstElement = View<const S>;
  using State = Planes<S*, P>;

  Index rows = 0;
  Index cols = 0;

  void identity(const Element& out) const noexcept;
  void combine(const ConstElement& earlier, const ConstElement& later, const Element& out) const noexcept;
  void act(const ConstElement& element, const State& from, const State& to) const noexcept;

  /// to = A from + b, or with Adjoint the conjugate transpose of A in its place; matrices with `columns` columns.
  /// A null b is zero; b may be `to`.
  template <bool Adjoint = false>
  void apply(const Planes<const S*, P>& a, const Planes<const S*, P>& from, const Planes<const S*, P>& b,
             const Planes<S*, P>& to, Index columns) const noexcept;
};

namespace detail {

/// y += sign A x with A [n, n] or, with Transposed, A^T; x and y [n, columns].
template <bool Transposed, Scalar S>
void dense_multiply_add(const S* a, Index n, const S* x, Index columns, S sign, S* y) noexcept {
  if (columns == 1) {
    if constexpr (Transposed) {
      for_each_lanes<S>(n, [&](Index i, auto lanes) {
        Simd<S> sum = lanes.load(y + i);
        for (Index j = 0; j < n; ++j) sum = fma(lanes.load(a + j * n + i), Simd<S>(sign * x[j]), sum);
        lanes.store(y + i, sum);
      });
    } else {
      for (Index i = 0; i < n; ++i) y[i] += sign * dot(a + i * n, x, n);
    }
    return;
  }
  for (Index i = 0; i < n; ++i) {
    for_each_lanes<S>(columns, [&](Index c, auto lanes) {
      Simd<S> sum = lanes.load(y + i * columns + c);
      for (Index j = 0; j < n; ++j) {
        const S weight = sign * (Transposed ? a[j * n + i] : a[i * n + j]);
        sum = fma(Simd<S>(weight), lanes.load(x + j * columns + c), sum);
      }
      lanes.store(y + i * columns + c, sum);
    });
  }
}

template <class T, std::size_t P>
Planes<const T*, P> as_const_planes(const Planes<T*, P>& p) noexcept {
  Planes<const T*, P> view;
  std::copy(p.begin(), p.end(), view.begin());
  return view;
}

}  // namespace detail

template <Scalar S, std::size_t P>
template <bool Adjoint>
void DenseAffine<S, P>::apply(const Planes<const S*, P>& a, const Planes<const S*, P>& from,
                              const Planes<const S*, P>& b, const Planes<S*, P>& to, Index columns) const noexcept {
  for (std::size_t k = 0; k < P; ++k) {
    if (b[k] == nullptr) {
      std::fill_n(to[k], rows * columns, S{0});
    } else if (b[k] != to[k]) {
      std::copy_n(b[k], rows * columns, to[k]);
    }
  }
  detail::dense_multiply_add<Adjoint>(a[0], rows, from[0], columns, S{1}, to[0]);
  if constexpr (P == 2) {
    constexpr S imaginary = Adjoint ? S{-1} : S{1};
    detail::dense_multiply_add<Adjoint>(a[1], rows, from[1], columns, -imaginary, to[0]);
    detail::dense_multiply_add<Adjoint>(a[0], rows, from[1], columns, S{1}, to[1]);
    detail::dense_multiply_add<Adjoint>(a[1], rows, from[0], columns, imaginary, to[1]);
  }
}

template <Scalar S, std::size_t P>
void DenseAffine<S, P>::identity(const Element& out) const noexcept {
  for (std::size_t k = 0; k < P; ++k) {
    std::fill_n(out.a[k], rows * rows, S{0});
    std::fill_n(out.b[k], rows * cols, S{0});
  }
  for (Index i = 0; i < rows; ++i) out.a[0][i * rows + i] = S{1};
}

template <Scalar S, std::size_t P>
void DenseAffine<S, P>::combine(const ConstElement& earlier, const ConstElement& later,
                                const Element& out) const noexcept {
  apply(later.a, earlier.a, {}, out.a, rows);
  apply(later.a, earlier.b, later.b, out.b, cols);
}

template <Scalar S, std::size_t P>
void DenseAffine<S, P>::act(const ConstElement& element, const State& from, const State& to) const noexcept {
  apply(element.a, detail::as_const_planes(from), element.b, to, cols);
}

static_assert(Action<DenseAffine<float>> && Action<DenseAffine<double, 2>>);

}  // namespace stepscan::inline STEPSCAN_ISA
