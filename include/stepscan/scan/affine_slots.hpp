#pragma once

#include <algorithm>
#include <stepscan/core/workspace.hpp>
#include <stepscan/scan/planes.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Room for the elements and states of a parallel scan over affine maps: per chunk an element of two arrays a and b and
/// the state that enters it. The state of chunk 0 is the caller's. Used by affine scans of either kind.
template <Scalar S, std::size_t P>
class AffineSlots {
 public:
  AffineSlots() = default;
  /// Takes nothing from the workspace for a single chunk.
  AffineSlots(Workspace& workspace, Index sequences, Index chunks, Index a_size, Index b_size,
              Planes<MatrixView<S>, P> start)
      : chunks_(chunks), a_size_(a_size), b_size_(b_size), start_(start) {
    if (chunks > 1) memory_ = workspace.take<S>(sequences * chunks * stride());
  }

  template <class Element>
  [[nodiscard]] Element element(Index sequence, Index position) const noexcept {
    S* const first = slot(sequence, position);
    Element e;
    for (std::size_t k = 0; k < P; ++k) {
      e.a[k] = first + static_cast<Index>(k) * (a_size_ + b_size_);
      e.b[k] = e.a[k] + a_size_;
    }
    return e;
  }

  [[nodiscard]] Planes<S*, P> state(Index sequence, Index position) const noexcept {
    if (position == 0) return row(start_, sequence);
    S* const first = slot(sequence, position) + planes * (a_size_ + b_size_);
    Planes<S*, P> at;
    for (std::size_t k = 0; k < P; ++k) at[k] = first + static_cast<Index>(k) * b_size_;
    return at;
  }

  void finish(Index sequence, Index position) const noexcept {
    const Planes<S*, P> from = state(sequence, position), to = state(sequence, 0);
    for (std::size_t k = 0; k < P; ++k) std::copy_n(from[k], b_size_, to[k]);
  }

 private:
  static constexpr Index planes = static_cast<Index>(P);

  [[nodiscard]] Index stride() const noexcept { return planes * (a_size_ + 2 * b_size_); }
  [[nodiscard]] S* slot(Index sequence, Index position) const noexcept {
    return memory_ + (sequence * chunks_ + position) * stride();
  }

  S* memory_ = nullptr;
  Index chunks_ = 0;
  Index a_size_ = 0;
  Index b_size_ = 0;
  Planes<MatrixView<S>, P> start_;
};

/// What an operation of the executors inherits whose elements, of the monoid M, and states stand in slots.
template <class M, Scalar S, std::size_t P>
struct InAffineSlots {
  AffineSlots<S, P> slots;

  [[nodiscard]] typename M::Element element(Index sequence, Index position) const noexcept {
    return slots.template element<typename M::Element>(sequence, position);
  }
  [[nodiscard]] Planes<S*, P> state(Index sequence, Index position) const noexcept {
    return slots.state(sequence, position);
  }
  void finish(Index sequence, Index position) const noexcept { slots.finish(sequence, position); }
};

}  // namespace stepscan::inline STEPSCAN_ISA
