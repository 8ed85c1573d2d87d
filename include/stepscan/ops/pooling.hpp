#pragma once

#include <algorithm>
#include <limits>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// How a sequence becomes one vector: its last real token, the mean of its real tokens, or their largest value feature
/// by feature. A member without tokens becomes 0.
enum class Pooling { last, mean, max };

/// Takes sequences [batch, time, features] part by part into vectors y [batch, features]: begin, add every part,
/// finish.
template <Pooling Kind, Scalar S>
struct Pool {
  MatrixView<S> y;

  void begin() const noexcept {
    constexpr S nothing = Kind == Pooling::max ? -std::numeric_limits<S>::infinity() : S{0};
    for (Index b = 0; b < y.rows; ++b) std::fill_n(y.row(b), Index{y.cols}, nothing);
  }

  void add(SequenceView<const S> x) const noexcept {
    for (Index b = 0; b < x.batch; ++b) {
      const Index tokens = x.length(b);
      if (Kind == Pooling::last && tokens > 0) std::copy_n(x.token(b, tokens - 1), Index{y.cols}, y.row(b));
      for (Index t = 0; t < tokens && Kind != Pooling::last; ++t) {
        const S* const token = x.token(b, t);
        for (Index f = 0; f < y.cols; ++f)
          y(b, f) = Kind == Pooling::max ? std::max(y(b, f), token[f]) : y(b, f) + token[f];
      }
    }
  }

  /// `whole` tells how many tokens each member had in all.
  void finish(SequenceView<const S> whole) const noexcept {
    for (Index b = 0; b < y.rows; ++b) {
      const Index tokens = whole.length(b);
      for (Index f = 0; f < y.cols; ++f) {
        if (tokens == 0) y(b, f) = S{0};
        if (Kind == Pooling::mean && tokens > 0) y(b, f) /= static_cast<S>(tokens);
      }
    }
  }
};

/// From the cotangent of y: that of x, 0 in its padding. A largest value that occurs more than once counts where it
/// came first.
template <Pooling Kind, Scalar S>
void pool_backward(SequenceView<const S> x, MatrixView<const S> y, MatrixView<const S> dy,
                   SequenceView<S> dx) noexcept {
  for (Index b = 0; b < x.batch; ++b) {
    const Index tokens = x.length(b);
    for (Index t = 0; t < tokens; ++t) {
      std::fill_n(dx.token(b, t), Index{dx.features}, S{0});
      for (Index f = 0; f < dx.features && Kind == Pooling::mean; ++f) {
        dx.token(b, t)[f] = dy(b, f) / static_cast<S>(tokens);
      }
    }
    for (Index f = 0; f < dx.features && tokens > 0 && Kind != Pooling::mean; ++f) {
      Index t = tokens - 1;
      if (Kind == Pooling::max) {
        for (t = 0; t < tokens - 1 && x.token(b, t)[f] != y(b, f);) ++t;
      }
      dx.token(b, t)[f] = dy(b, f);
    }
  }
  clear_padding(x, dx);
}

}  // namespace stepscan::inline STEPSCAN_ISA
