#pragma once

#include <algorithm>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>
#include <stepscan/kernels/lanes.hpp>

/// Sums, copies and reversals of whole tokens. Padding is never read, and written by copy_tokens alone.
namespace stepscan::inline STEPSCAN_ISA {

/// y += x, rows of one token each.
template <Scalar S>
void add_rows(MatrixView<const S> x, MatrixView<S> y) noexcept {
  for (Index r = 0; r < x.rows; ++r) {
    for_each_lanes<S>(x.cols, [&](Index i, auto lanes) {
      lanes.store(y.row(r) + i, lanes.load(y.row(r) + i) + lanes.load(x.row(r) + i));
    });
  }
}

/// sum += the sum of the rows of x.
template <Scalar S>
void add_rows_to(MatrixView<const S> x, S* sum) noexcept {
  for (Index r = 0; r < x.rows; ++r) add_rows<S>(x.middle_rows(r, 1), {sum, 1, Index{x.cols}});
}

/// y += x in the real tokens of x.
template <Scalar S>
void add_tokens(SequenceView<const S> x, SequenceView<S> y) noexcept {
  for (Index b = 0; b < x.batch; ++b) {
    add_rows<S>(x.member(b).middle_rows(0, x.length(b)), y.member(b).middle_rows(0, x.length(b)));
  }
}

/// y = from in the real tokens of x, zero in its padding.
template <Scalar S>
void copy_tokens(SequenceView<const S> x, SequenceView<const S> from, SequenceView<S> y) noexcept {
  for (Index b = 0; b < x.batch; ++b) {
    for (Index t = 0; t < x.length(b); ++t) std::copy_n(from.token(b, t), Index{y.features}, y.token(b, t));
  }
  clear_padding(x, y);
}

namespace detail {

/// Calls f(b, t, s) for the real tokens t of x that are the tokens s of `reversed`, whose first one is number `first`
/// from the end of its member.
template <class T, Index F, class Function>
void for_each_reversed(const SequenceView<T, F>& x, Index first, Index count, Function&& f) {
  for (Index b = 0; b < x.batch; ++b) {
    const Index left = std::min(count, x.length(b) - first);
    for (Index s = 0; s < left; ++s) f(b, x.length(b) - 1 - first - s, s);
  }
}

}  // namespace detail

/// Writes the real tokens of each member of x, last one first, from the one that is number `first` from the end, into
/// the tokens of `reversed` (and leaves out what does not fit there).
template <Scalar S>
void reverse_into(SequenceView<const S> x, Index first, SequenceView<S> reversed) noexcept {
  detail::for_each_reversed(x, first, reversed.time, [&](Index b, Index t, Index s) {
    std::copy_n(x.token(b, t), Index{x.features}, reversed.token(b, s));
  });
}

/// The way back: y takes the tokens that reverse_into read from it. The real tokens are those of y.
template <Scalar S>
void reverse_from(SequenceView<const S> reversed, Index first, SequenceView<S> y) noexcept {
  detail::for_each_reversed(y, first, reversed.time, [&](Index b, Index t, Index s) {
    std::copy_n(reversed.token(b, s), Index{y.features}, y.token(b, t));
  });
}

/// As reverse_from, added to y.
template <Scalar S>
void add_reversed(SequenceView<const S> reversed, Index first, SequenceView<S> y) noexcept {
  detail::for_each_reversed(y, first, reversed.time, [&](Index b, Index t, Index s) {
    add_rows<S>(reversed.member(b).middle_rows(s, 1), y.member(b).middle_rows(t, 1));
  });
}

}  // namespace stepscan::inline STEPSCAN_ISA
