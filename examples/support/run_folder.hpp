#pragma once

#include <optional>
#include <stepscan/train/checkpoint_folder.hpp>
#include <tuple>

namespace examples {

/// The checkpoints of a run in a folder, from which the same command goes on; without a folder there are none.
template <class... Parts>
class RunFolder {
 public:
  /// Fills the parts from the last checkpoint, if there is one.
  explicit RunFolder(const std::string& folder, stepscan::Kept<Parts>... parts) : parts_(std::move(parts)...) {
    if (folder.empty()) return;
    folder_.emplace(folder);
    std::apply([&](const auto&... kept) { static_cast<void>(folder_->load_latest(kept...)); }, parts_);
  }

  /// Saves the parts behind every so many updates, and behind the last.
  void save_every(std::int64_t every, std::int64_t update, std::int64_t last) const {
    if (!folder_ || (update % every != 0 && update != last)) return;
    std::apply([&](const auto&... kept) { folder_->save(update, kept...); }, parts_);
  }

 private:
  std::optional<stepscan::CheckpointFolder> folder_;
  std::tuple<stepscan::Kept<Parts>...> parts_;
};

}  // namespace examples
