#pragma once

#include <array>
#include <cstdint>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/view.hpp>

namespace stepscan::inline STEPSCAN_ISA {

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
    lines_ += rows.rows * (rows.cols * static_cast<Index>(sizeof(S)) / line + 1);
  }

  /// All of it is asked for in so many turns.
  void spread(Index turns) noexcept { each_ = turns > 0 ? (lines_ + turns - 1) / turns : 0; }

  /// A turn, up to the end of a row.
  void ask() noexcept {
    for (Index left = each_; left > 0 && block_ < count_;) {
      const MatrixView<const S>& rows = blocks_[block_];
      left -= ask_row(rows.row(row_), rows.cols);
      if (++row_ == rows.rows) row_ = 0, ++block_;
    }
  }

 private:
  static constexpr Index line = 64;

  /// Gives how many lines it has.
  static Index ask_row(const S* row, Index columns) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(row) / line * line;
    const auto end = reinterpret_cast<std::uintptr_t>(row + columns);
    for (auto at = first; at < end; at += line) __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);
    return static_cast<Index>(end - first + line - 1) / line;
  }

  std::array<MatrixView<const S>, 9> blocks_{};
  std::size_t count_ = 0;
  std::size_t block_ = 0;  ///< where it stands
  Index row_ = 0;
  Index lines_ = 0;
  Index each_ = 0;  ///< lines of a turn
};

}  // namespace stepscan::inline STEPSCAN_ISA
