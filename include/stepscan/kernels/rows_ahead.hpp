#pragma once

#include <array>
#include <cstdint>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

/// Bytes that memory hands over together.
inline constexpr Index cache_line = 64;

/// Asks for numbers that are needed soon, up to the second cache level: the first one has no room for many. Gives how
/// many cache lines they are.
template <class T>
[[gnu::always_inline]] inline Index prefetch_row(const T* row, Index count) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(row) / cache_line * cache_line;
  const auto end = reinterpret_cast<std::uintptr_t>(row + count);
  for (auto at = first; at < end; at += cache_line) __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);
  return static_cast<Index>(end - first + cache_line - 1) / cache_line;
}

/// Rows of memory that come next, asked for a few cache lines at a turn while something else is computed, so that they
/// stand in the second cache level when they are read. Rows that lie far apart, as those of one of many heads do, are
/// what no hardware foresees.
template <Scalar S>
class RowsAhead {
 public:
  /// Takes up to nine blocks of rows.
  void add(MatrixView<const S> rows) noexcept {
    if (rows.rows == 0 || rows.cols == 0) return;
    STEPSCAN_ASSERT(count_ < blocks_.size());
    blocks_[count_++] = rows;
    lines_ += rows.rows * (rows.cols * static_cast<Index>(sizeof(S)) / cache_line + 1);
  }

  /// All of it is asked for in so many turns.
  void spread(Index turns) noexcept { each_ = turns > 0 ? (lines_ + turns - 1) / turns : 0; }

  /// A turn, up to the end of a row.
  void ask() noexcept {
    for (Index left = each_; left > 0 && block_ < count_;) {
      const MatrixView<const S>& rows = blocks_[block_];
      left -= prefetch_row(rows.row(row_), rows.cols);
      if (++row_ == rows.rows) row_ = 0, ++block_;
    }
  }

 private:
  std::array<MatrixView<const S>, 9> blocks_{};
  std::size_t count_ = 0;
  std::size_t block_ = 0;  ///< where it stands
  Index row_ = 0;
  Index lines_ = 0;
  Index each_ = 0;  ///< lines of a turn
};

}  // namespace stepscan::inline STEPSCAN_ISA
