#pragma once

#include <algorithm>
#include <span>
#include <stepscan/core/error.hpp>
#include <string>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// Where sequences of different lengths lie end to end in one buffer, without padding: member b is the tokens
/// [offsets[b], offsets[b + 1]). Views that are packed by it refer to it.
class Packing {
 public:
  /// No sequences.
  Packing() = default;
  /// One offset per member, from 0 and never falling, and the number of all tokens as the last. Throws ShapeError
  /// otherwise.
  explicit Packing(std::span<const Index> offsets) : offsets_(offsets.begin(), offsets.end()) {
    if (offsets_.empty() || offsets_.front() != 0 || !std::is_sorted(offsets_.begin(), offsets_.end())) {
      fail<ShapeError>("Packing: expected offsets that start at 0 and do not fall, found " +
                       std::to_string(offsets_.size()) + " of another kind");
    }
    for (std::size_t b = 0; b + 1 < offsets_.size(); ++b) lengths_.push_back(offsets_[b + 1] - offsets_[b]);
  }

  [[nodiscard]] Index batch() const noexcept { return static_cast<Index>(lengths_.size()); }
  /// Tokens of all members, and of the longest one.
  [[nodiscard]] Index tokens() const noexcept { return offsets_.empty() ? 0 : offsets_.back(); }
  [[nodiscard]] Index longest() const noexcept {
    return lengths_.empty() ? 0 : *std::max_element(lengths_.begin(), lengths_.end());
  }
  [[nodiscard]] std::span<const Index> offsets() const noexcept { return offsets_; }
  [[nodiscard]] std::span<const Index> lengths() const noexcept { return lengths_; }

 private:
  std::vector<Index> offsets_;
  std::vector<Index> lengths_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
