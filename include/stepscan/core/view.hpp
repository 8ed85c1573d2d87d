#pragma once

#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/core/extent.hpp>
#include <stepscan/core/packing.hpp>
#include <stepscan/core/tensor.hpp>
#include <type_traits>

namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// From may become To: the same element type, or a const view of it.
template <class From, class To>
concept ElementConvertible = std::is_convertible_v<From (*)[], To (*)[]>;

/// Whether a size of type From always fits a size of type To, without a look at its value.
constexpr bool always_fits(Index from, Index to) { return to == Dynamic || from == to; }

}  // namespace detail

/// A view of rows x cols numbers that somebody else owns: columns contiguous, rows `stride` elements apart.
/// Also one time step of a batch: [batch, features].
template <class T, Index Rows = Dynamic, Index Cols = Dynamic>
struct MatrixView {
  T* data = nullptr;
  [[no_unique_address]] Extent<Rows> rows;
  [[no_unique_address]] Extent<Cols> cols;
  Index stride = 0;

  constexpr MatrixView() noexcept = default;
  constexpr MatrixView(T* first, Extent<Rows> row_count, Extent<Cols> col_count, Index row_stride) noexcept
      : data(first), rows(row_count), cols(col_count), stride(row_stride) {}
  constexpr MatrixView(T* first, Extent<Rows> row_count, Extent<Cols> col_count) noexcept
      : MatrixView(first, row_count, col_count, col_count) {}

  /// Throws ShapeError when a dynamic size does not fit a static one.
  template <detail::ElementConvertible<T> U, Index R, Index C>
  constexpr MatrixView(const MatrixView<U, R, C>& other) noexcept(
      detail::always_fits(R, Rows) && detail::always_fits(C, Cols)) requires(compatible(R, Rows) && compatible(C, Cols))
      : data(other.data), rows(Index{other.rows}), cols(Index{other.cols}), stride(other.stride) {}

  template <detail::ElementConvertible<T> U, Index R, Index C>
  constexpr MatrixView(Tensor<U, R, C>& tensor) requires(compatible(R, Rows) && compatible(C, Cols))
      : data(tensor.data()), rows(tensor.extent(0)), cols(tensor.extent(1)), stride(tensor.extent(1)) {}

  template <class U, Index R, Index C>
  constexpr MatrixView(const Tensor<U, R, C>& tensor) requires(compatible(R, Rows) && compatible(C, Cols) &&
                                                               detail::ElementConvertible<const U, T>)
      : data(tensor.data()), rows(tensor.extent(0)), cols(tensor.extent(1)), stride(tensor.extent(1)) {}

  [[nodiscard]] constexpr T* row(Index i) const noexcept { return data + i * stride; }
  constexpr T& operator()(Index i, Index j) const noexcept { return data[i * stride + j]; }

  /// Rows [first, first + count).
  [[nodiscard]] constexpr MatrixView<T, Dynamic, Cols> middle_rows(Index first, Index count) const noexcept {
    return {row(first), count, cols, stride};
  }
  /// Columns [first, first + count).
  [[nodiscard]] constexpr MatrixView<T, Rows, Dynamic> middle_cols(Index first, Index count) const noexcept {
    return {data + first, rows, count, stride};
  }
};

/// A vector seen as a matrix of one row: one token of one stream.
template <class T>
[[nodiscard]] constexpr MatrixView<T, 1> row_view(T* data, Index size) noexcept {
  return {data, {}, size};
}
template <class T>
[[nodiscard]] constexpr MatrixView<T, 1> row_view(std::span<T> values) noexcept {
  return {values.data(), {}, static_cast<Index>(values.size())};
}

/// A view of a batch of sequences, [batch, time, features]: features contiguous, time steps and batch members at any
/// stride, so the bytes of a NumPy or PyTorch array fit as they are. A ragged batch says how many tokens of each
/// member are real; what lies behind them is padding, which no layer reads, and whose outputs are zero. A packed batch
/// has its members end to end in one buffer and no padding; inputs and outputs of one call are packed alike.
template <class T, Index Features = Dynamic>
struct SequenceView {
  T* data = nullptr;
  Index batch = 0;
  Index time = 0;
  [[no_unique_address]] Extent<Features> features;
  Index batch_stride = 0;
  Index time_stride = 0;
  const Index* lengths = nullptr;  ///< [batch] or null: all members are `time` long
  Index start = 0;                 ///< the position of this view's first token, as `lengths` counts
  const Index* offsets = nullptr;  ///< [batch] or null: tokens from `data` to each member, in place of batch_stride

  constexpr SequenceView() noexcept = default;
  constexpr SequenceView(T* first, Index batch_size, Index time_steps, Extent<Features> feature_count) noexcept
      : data(first),
        batch(batch_size),
        time(time_steps),
        features(feature_count),
        batch_stride(time_steps * feature_count),
        time_stride(feature_count) {}

  /// Throws ShapeError when a dynamic feature count does not fit a static one.
  template <detail::ElementConvertible<T> U, Index F>
  constexpr SequenceView(const SequenceView<U, F>& other) noexcept(detail::always_fits(F, Features)) requires(
      compatible(F, Features))
      : data(other.data),
        batch(other.batch),
        time(other.time),
        features(Index{other.features}),
        batch_stride(other.batch_stride),
        time_stride(other.time_stride),
        lengths(other.lengths),
        start(other.start),
        offsets(other.offsets) {}

  template <detail::ElementConvertible<T> U, Index B, Index N, Index F>
  constexpr SequenceView(Tensor<U, B, N, F>& tensor) requires(compatible(F, Features))
      : SequenceView(tensor.data(), tensor.extent(0), tensor.extent(1), tensor.extent(2)) {}

  template <class U, Index B, Index N, Index F>
  constexpr SequenceView(const Tensor<U, B, N, F>& tensor) requires(compatible(F, Features) &&
                                                                    detail::ElementConvertible<const U, T>)
      : SequenceView(tensor.data(), tensor.extent(0), tensor.extent(1), tensor.extent(2)) {}

  /// The token at time t of batch member b.
  [[nodiscard]] constexpr T* token(Index b, Index t) const noexcept {
    return data + (offsets == nullptr ? b * batch_stride : offsets[b] * time_stride) + t * time_stride;
  }

  /// Time step t of batch members [first, first + count): [count, features]. Of a packed batch one member at a time.
  [[nodiscard]] constexpr MatrixView<T, Dynamic, Features> frame(Index t, Index first, Index count) const noexcept {
    STEPSCAN_ASSERT(offsets == nullptr || count <= 1);
    return {token(first, t), count, features, batch_stride};
  }
  /// Time step t of every batch member: [batch, features].
  [[nodiscard]] constexpr MatrixView<T, Dynamic, Features> frame(Index t) const noexcept { return frame(t, 0, batch); }
  /// All time steps of batch member b: [time, features].
  [[nodiscard]] constexpr MatrixView<T, Dynamic, Features> member(Index b) const noexcept {
    return {token(b, 0), time, features, time_stride};
  }
  /// Tokens [first, first + count) of every member.
  [[nodiscard]] constexpr SequenceView slice(Index first, Index count) const noexcept {
    SequenceView part = *this;
    part.data += first * time_stride;
    part.time = count;
    part.start += first;
    return part;
  }
  /// Features [first, first + count) of every token; nothing of a view of nothing.
  template <Index Count = Dynamic>
  [[nodiscard]] constexpr SequenceView<T, Count> middle_features(Index first, Extent<Count> count) const noexcept {
    SequenceView<T, Count> part(data == nullptr ? nullptr : data + first, batch, time, count);
    part.batch_stride = batch_stride;
    part.time_stride = time_stride;
    part.lengths = lengths;
    part.start = start;
    part.offsets = offsets;
    return part;
  }
  /// Batch members [first, first + count).
  [[nodiscard]] constexpr SequenceView members(Index first, Index count) const noexcept {
    SequenceView part = *this;
    part.batch = count;
    if (lengths != nullptr) part.lengths += first;
    if (offsets != nullptr) {
      part.offsets += first;
    } else {
      part.data += first * batch_stride;
    }
    return part;
  }
  /// The same tokens, of which the first `lengths[b]` are real. The lengths stay the caller's.
  /// Throws ShapeError when there is not one length per batch member, or one lies outside [0, time].
  [[nodiscard]] constexpr SequenceView ragged(std::span<const Index> token_counts) const {
    if (static_cast<Index>(token_counts.size()) != batch) {
      fail<ShapeError>("ragged: expected " + std::to_string(batch) + " lengths, one per batch member, found " +
                       std::to_string(token_counts.size()));
    }
    for (const Index n : token_counts) {
      if (n < 0 || n > time) {
        fail<ShapeError>("ragged: expected lengths in [0, " + std::to_string(time) + "], found " + std::to_string(n));
      }
    }
    SequenceView part = *this;
    part.lengths = token_counts.data();
    part.start = 0;
    return part;
  }
  /// The members of a packed batch, this view being all their tokens as one sequence [1, packing.tokens(), features].
  /// The packing stays the caller's. Throws ShapeError when there are more or fewer tokens.
  [[nodiscard]] constexpr SequenceView packed(const Packing& packing) const {
    if (batch != 1 || time != packing.tokens() || is_packed()) {
      fail<ShapeError>("packed: expected one sequence of " + std::to_string(packing.tokens()) + " tokens, found " +
                       std::to_string(batch) + " of " + std::to_string(time));
    }
    SequenceView part = *this;
    part.batch = packing.batch();
    part.time = packing.longest();
    part.lengths = packing.lengths().data();
    part.offsets = packing.offsets().data();
    part.start = 0;
    return part;
  }
  /// How many tokens of this view are real for batch member b.
  [[nodiscard]] constexpr Index length(Index b) const noexcept {
    if (lengths == nullptr) return time;
    const Index left = lengths[b] - start;
    return left < 0 ? 0 : left > time ? time : left;
  }
  [[nodiscard]] constexpr bool is_ragged() const noexcept { return lengths != nullptr; }
  [[nodiscard]] constexpr bool is_packed() const noexcept { return offsets != nullptr; }
};

template <class T, Index B, Index N, Index F>
SequenceView(Tensor<T, B, N, F>&) -> SequenceView<T, F>;
template <class T, Index B, Index N, Index F>
SequenceView(const Tensor<T, B, N, F>&) -> SequenceView<const T, F>;

/// Rows as sequences of one token each, [rows, 1, cols].
template <class T, Index Rows, Index Cols>
[[nodiscard]] constexpr SequenceView<T, Cols> one_token(const MatrixView<T, Rows, Cols>& rows) noexcept {
  SequenceView<T, Cols> tokens(rows.data, rows.rows, 1, rows.cols);
  tokens.batch_stride = rows.stride;
  return tokens;
}

/// Calls f(first, count) for each run of batch members whose token t is real in x and that are rows of one matrix in
/// both x and y: one call for a batch without padding, one for each member where one of the views is packed.
template <class X, class Y, Index I, Index O, class Function>
constexpr void for_each_active_run(const SequenceView<X, I>& x, const SequenceView<Y, O>& y, Index t, Function&& f) {
  const Index most = x.is_packed() || y.is_packed() ? 1 : x.batch;
  if (!x.is_ragged() && most == x.batch) {
    if (x.batch > 0) f(Index{0}, x.batch);
    return;
  }
  for (Index b = 0; b < x.batch;) {
    Index end = b;
    while (end < x.batch && end - b < most && t < x.length(end)) ++end;
    if (end > b) f(b, end - b);
    b = end > b ? end : b + 1;
  }
}
template <class X, Index I, class Function>
constexpr void for_each_active_run(const SequenceView<X, I>& x, Index t, Function&& f) {
  for_each_active_run(x, x, t, static_cast<Function&&>(f));
}

/// Writes zero to the tokens of member b from number `first` on, which are padding. A packed batch has none.
template <class Y, Index O>
constexpr void clear_behind(const SequenceView<Y, O>& y, Index b, Index first) noexcept {
  for (Index t = first; t < y.time && !y.is_packed(); ++t) std::fill_n(y.token(b, t), Index{y.features}, Y{});
}

/// Writes zero to all tokens, padding as well.
template <class Y, Index O>
constexpr void clear_tokens(const SequenceView<Y, O>& y) noexcept {
  for (Index b = 0; b < y.batch; ++b) {
    for (Index t = 0; t < y.length(b); ++t) std::fill_n(y.token(b, t), Index{y.features}, Y{});
    clear_behind(y, b, y.length(b));
  }
}

/// Writes zero to the padding of y, whose real tokens are those of x.
template <class X, class Y, Index I, Index O>
constexpr void clear_padding(const SequenceView<X, I>& x, const SequenceView<Y, O>& y) noexcept {
  if (!x.is_ragged()) return;
  for (Index b = 0; b < y.batch; ++b) clear_behind(y, b, x.length(b));
}

}  // namespace stepscan::inline STEPSCAN_ISA
