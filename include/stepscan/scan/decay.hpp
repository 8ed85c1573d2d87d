#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stepscan/core/scalar.hpp>
#include <stepscan/kernels/lanes.hpp>
#include <stepscan/scan/monoid.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// The matrix state of one head of one sequence: S [keys, values], values contiguous; where the read is normalised also
/// z [keys], and where it is stabilised the maximum m, S and z then being exp(-m) times the true ones.
template <Scalar S>
struct DecayState {
  S* matrix = nullptr;
  S* normaliser = nullptr;
  S* maximum = nullptr;
};

/// The maps S -> a S + U of matrices, a a number or one per row; z alongside as a further column.
///   (a, U) then (a', U') = (a' a, a' U + U'),   identity (1, 0),   action S -> a S + U
/// Stabilised: the element is (F, U, m), F the sum of log a, U to be multiplied by exp(m):
///   action (S, m_1) -> m = max(F + m_1, m_2),  exp(F + m_1 - m) S + exp(m_2 - m) U,   identity (0, 0, -inf)
/// (mLSTM, arXiv 2405.04517). Results may be written over an operand.
template <Scalar S, bool PerRow, bool Stabilised>
struct DecayAction {
  struct Element {
    S* decay = nullptr;  ///< a, or F
    DecayState<S> state;
  };
  using State = DecayState<S>;

  Index keys = 0;
  Index values = 0;

  [[nodiscard]] Index decay_size() const noexcept { return PerRow ? keys : 1; }

  void identity(const Element& out) const noexcept {
    std::fill_n(out.decay, decay_size(), Stabilised ? S{0} : S{1});
    std::fill_n(out.state.matrix, keys * values, S{0});
    if (out.state.normaliser != nullptr) std::fill_n(out.state.normaliser, keys, S{0});
    if (Stabilised) *out.state.maximum = -std::numeric_limits<S>::infinity();
  }

  void combine(const Element& earlier, const Element& later, const Element& out) const noexcept {
    act(later, earlier.state, out.state);
    for (Index d = 0; d < decay_size(); ++d) {
      out.decay[d] = Stabilised ? earlier.decay[d] + later.decay[d] : earlier.decay[d] * later.decay[d];
    }
  }

  void act(const Element& element, const State& from, const State& to) const noexcept {
    S own{1}, added{1};
    if constexpr (Stabilised) {
      const S before = *element.decay + *from.maximum, inside = *element.state.maximum, m = std::max(before, inside);
      own = weight(before, m);
      added = weight(inside, m);
      *to.maximum = m;
    }
    for (Index d = 0; d < keys; ++d) {
      const S a = Stabilised ? own : element.decay[PerRow ? d : 0];
      const S *u = element.state.matrix + d * values, *s = from.matrix + d * values;
      for_each_lanes<S>(values, [&](Index j, auto lanes) {
        lanes.store(to.matrix + d * values + j, fma(Simd<S>(a), lanes.load(s + j), Simd<S>(added) * lanes.load(u + j)));
      });
      if (to.normaliser != nullptr) to.normaliser[d] = a * from.normaliser[d] + added * element.state.normaliser[d];
    }
  }

  /// The decays of a further run of tokens, in the order of tokens, at the end of the element's.
  template <class Tiles>
  void append(const Element& element, const Tiles& tiles, Index tokens) const noexcept {
    for (Index t = 0; t < tokens; ++t) {
      for (Index d = 0; d < decay_size(); ++d) {
        if constexpr (Stabilised) {
          element.decay[d] += tiles.weights.log_decay[t];
        } else {
          element.decay[d] *= tiles.weights.decay[t * decay_size() + d];
        }
      }
    }
  }

 private:
  static S weight(S part, S maximum) noexcept {
    return part == -std::numeric_limits<S>::infinity() ? S{0} : std::exp(part - maximum);
  }
};
static_assert(Action<DecayAction<float, true, false>> && Action<DecayAction<double, false, true>>);

}  // namespace stepscan::inline STEPSCAN_ISA
