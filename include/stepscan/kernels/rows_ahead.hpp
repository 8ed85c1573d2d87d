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
    if (count_ == 1) enter(rows.data);
  }

  /// All of it is asked for in so many turns.
  void spread(Index turns) noexcept { each_ = turns > 0 ? (lines_ + turns - 1) / turns : 0; }

  /// A turn, up to the end of a row.
  void ask() noexcept {
    for (Index left = each_; left > 0 && block_ < count_;) {
      for (; next_ < end_; next_ += line, --left) __builtin_prefetch(reinterpret_cast<const void*>(next_), 0, 2);
      next_row();
    }
  }

 private:
  static constexpr Index line = 64;

  void enter(const S* row) noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(row);
    next_ = begin / line * line;
    end_ = begin + static_cast<std::uintptr_t>(blocks_[block_].cols) * sizeof(S);
  }
  void next_row() noexcept {
    if (++row_ == blocks_[block_].rows) {
      row_ = 0;
      if (++block_ == count_) return;
    }
    enter(blocks_[block_].row(row_));
  }

  std::array<MatrixView<const S>, 9> blocks_{};
  std::size_t count_ = 0;
  std::size_t block_ = 0;  ///< where it stands
  Index row_ = 0;
  std::uintptr_t next_ = 0;
  std::uintptr_t end_ = 0;
  Index lines_ = 0;
  Index each_ = 0;  ///< lines of a turn
};

}  // namespace stepscan::inline STEPSCAN_ISA
