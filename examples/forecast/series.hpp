#pragma once

#include <stepscan/core/tensor.hpp>
#include <stepscan/core/view.hpp>
#include <string>
#include <vector>

namespace examples {

using stepscan::Dynamic;
using stepscan::Index;

/// Several quantities measured at the same times: rows of time, a column each.
///
/// Its rows are split as the papers on these data sets split them: the first three fifths to train on, a fifth to
/// validate, a fifth to test. Every column is scaled by the mean and deviation of its training rows.
class Series {
 public:
  /// A file of comma-separated values: a line of names, then a date and numbers on every line. Of more than 14,400 rows
  /// (20 months of hours) the first 14,400 are taken, which makes the split of ETTh1: 12, 4 and 4 months. Throws
  /// FileError when it cannot be read or has less than 100 rows.
  static Series read(const std::string& path);
  /// Days and weeks under noise, for those who have no file at hand.
  static Series invent(Index rows);

  [[nodiscard]] Index rows() const noexcept { return values_.extent(0); }
  [[nodiscard]] Index channels() const noexcept { return values_.extent(1); }
  [[nodiscard]] const std::string& name(Index channel) const { return names_[static_cast<std::size_t>(channel)]; }
  [[nodiscard]] float operator()(Index row, Index channel) const noexcept { return values_(row, channel); }

  /// The rows that forecasts may begin at and end before.
  struct Part {
    Index first, end;
    /// How many forecasts of so many rows fit.
    [[nodiscard]] Index windows(Index horizon) const noexcept { return end - first - horizon + 1; }
  };
  [[nodiscard]] Part training(Index lookback) const noexcept { return {lookback, rows() / 5 * 3}; }
  [[nodiscard]] Part validation() const noexcept { return {rows() / 5 * 3, rows() / 5 * 4}; }
  [[nodiscard]] Part test() const noexcept { return {rows() / 5 * 4, rows() / 5 * 5}; }

  /// `count` windows of so many rows, the next beginning `every` rows later: they overlap, and nothing is copied.
  [[nodiscard]] stepscan::SequenceView<const float> windows(Index first, Index count, Index time,
                                                            Index every = 1) const noexcept {
    stepscan::SequenceView<const float> view(&values_(first, 0), count, time, channels());
    view.batch_stride = every * channels();
    return view;
  }

 private:
  Series(std::vector<std::string> names, const std::vector<float>& values);

  std::vector<std::string> names_;
  stepscan::Tensor<float, Dynamic, Dynamic> values_;
};

}  // namespace examples
