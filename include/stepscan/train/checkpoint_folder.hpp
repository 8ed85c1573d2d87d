#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <stepscan/train/checkpoint_file.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA {

/// The checkpoints of one run, in a folder of their own: checkpoint-000000001200.safetensors holds update 1200. At
/// whatever moment a run is killed, all it had saved before is found again; the last `keep` checkpoints stay, so that
/// one that the disk has damaged costs no more than the work since the one before it.
///   CheckpointFolder folder("run");
///   folder.load_latest(Kept{"model", model}, ...);           // nothing in a new folder
///   folder.save(progress.updates, Kept{"model", model}, ...);
/// One run at a time writes into a folder.
class CheckpointFolder {
 public:
  /// Told of every damaged checkpoint that is passed over; prints to standard error unless it is replaced.
  std::function<void(const std::string&)> report = [](const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
  };

  /// Makes the folder if it is not there. Throws FileError when that fails, ArgumentError when none should be kept.
  explicit CheckpointFolder(std::filesystem::path folder, std::size_t keep = 2)
      : folder_(std::move(folder)), keep_(keep) {
    if (keep_ == 0) fail<ArgumentError>("CheckpointFolder: expected to keep at least 1 checkpoint, found 0");
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) fail<FileError>("cannot create " + detail::quote_name(folder_.string()) + ": " + error.message());
  }

  /// Writes the checkpoint of this update, then removes those before the last `keep`, those of later updates (of a run
  /// that was given up) and what writers that were killed have left. Throws as save_checkpoint does.
  template <class... Ts>
  void save(std::int64_t update, const Kept<Ts>&... parts) const {
    save_checkpoint(path_of(update), parts...);
    std::size_t earlier = 0;
    for (const Entry& entry : entries()) {
      const bool stays = entry.complete && entry.update <= update && earlier++ < keep_;
      std::error_code ignored;
      if (!stays) std::filesystem::remove(entry.path, ignored);
    }
  }

  /// Fills the parts from the newest checkpoint that is whole and returns its update; nothing when there is none, and
  /// the parts are then what they were. Throws FileError when that checkpoint holds other parts than these.
  template <class... Ts>
  [[nodiscard]] std::optional<std::int64_t> load_latest(const Kept<Ts>&... parts) const {
    for (const Entry& entry : entries()) {
      if (!entry.complete) continue;
      std::optional<SafetensorsFile> file;
      const auto damage = failure_of<FileError>([&] { file = open_checkpoint(entry.path); });
      if (damage) {
        if (report) report("skipped a damaged checkpoint: " + *damage);
        continue;
      }
      load_checkpoint(*file, parts...);
      return entry.update;
    }
    return std::nullopt;
  }

  /// The checkpoints that are there, the newest first.
  [[nodiscard]] std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> paths;
    for (const Entry& entry : entries()) {
      if (entry.complete) paths.push_back(entry.path);
    }
    return paths;
  }

  [[nodiscard]] std::filesystem::path path_of(std::int64_t update) const {
    std::array<char, 60> name{};
    std::snprintf(name.data(), name.size(), "%s%012lld%s", first_part, static_cast<long long>(update), last_part);
    return folder_ / name.data();
  }

 private:
  static constexpr const char* first_part = "checkpoint-";
  static constexpr const char* last_part = ".safetensors";

  struct Entry {
    std::int64_t update = 0;
    bool complete = false;  ///< not what a writer has left that was killed
    std::filesystem::path path;
  };

  static std::optional<Entry> entry_of(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    std::string_view rest = name;
    if (!rest.starts_with(first_part)) return std::nullopt;
    rest.remove_prefix(std::string_view(first_part).size());
    Entry entry{0, false, path};
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), entry.update);
    if (error != std::errc{}) return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    entry.complete = rest == last_part;
    if (!entry.complete && !rest.starts_with(std::string(last_part) + ".partial")) return std::nullopt;
    return entry;
  }

  /// All that are or would have become checkpoints, the newest first.
  [[nodiscard]] std::vector<Entry> entries() const {
    std::vector<Entry> found;
    std::error_code error;
    const std::filesystem::directory_iterator end;
    for (std::filesystem::directory_iterator it(folder_, error); !error && it != end; it.increment(error)) {
      if (auto entry = entry_of(it->path())) found.push_back(std::move(*entry));
    }
    std::sort(found.begin(), found.end(), [](const Entry& a, const Entry& b) { return a.update > b.update; });
    return found;
  }

  std::filesystem::path folder_;
  std::size_t keep_;
};

}  // namespace stepscan::inline STEPSCAN_ISA
