#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <set>
#include <stepscan/core/random.hpp>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/layers/state.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

/// All that a training run needs to go on elsewhere as if nothing had happened, in one safetensors file:
///   save_checkpoint(path, Kept{"model", model}, Kept{"optimizer", optimizer}, Kept{"data", random}, Kept{"run",
///   progress}); load_checkpoint(path, Kept{"model", model}, ...);
/// The model alone is read by load_safetensors(path, model, "model.") as soon as nothing else lies under that name.
namespace stepscan::inline STEPSCAN_ISA {

/// A struct of plain numbers: `numbers()` returns a std::tuple of Field, each of an integer, float or double.
template <class T>
concept NumberRecord = requires {
  T::numbers();
};

/// What a checkpoint keeps: trees of tensors (a model, an optimiser, an average of weights), generators, structs of
/// numbers, single numbers and lists of them.
template <class T>
concept CheckpointValue = FileNumber<T> || NumberRecord<T> || std::same_as<T, Random> || TensorTree<T>;

/// A value of the program under its name in a checkpoint.
template <class T>
requires CheckpointValue<std::remove_const_t<T>>
struct Kept {
  std::string name;
  T& value;
};
template <class T>
Kept(std::string, T&) -> Kept<T>;

namespace detail {

inline constexpr const char* checkpoint_format = "stepscan checkpoint 1";

/// A list of numbers, which has the length that the file says.
template <class T>
inline constexpr bool is_number_list = false;
template <FileNumber T>
inline constexpr bool is_number_list<std::vector<T>> = true;

/// A hash of all names, shapes and numbers: a single bit that changed on disk is found.
template <class Tensors>
[[nodiscard]] std::string checkpoint_hash(const Tensors& tensors) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const auto& [name, tensor] : tensors) {
    hash = hash_bytes(hash, name.c_str(), name.size() + 1);
    hash = hash_bytes(hash, tensor.shape.data(), tensor.shape.size() * sizeof(Index));
    hash = hash_bytes(hash, tensor.bytes.data(), tensor.bytes.size());
  }
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

template <FileNumber T>
void keep_number(TensorMap& tensors, const std::string& name, const T& value) {
  set_tensor(tensors, name, {}, std::span(&value, 1));
}

template <class T>
void keep_part(TensorMap& tensors, const std::string& name, const T& value) {
  if constexpr (FileNumber<T>) {
    keep_number(tensors, name, value);
  } else if constexpr (is_number_list<T>) {
    set_tensor(tensors, name, {static_cast<Index>(value.size())}, std::span(value));
  } else if constexpr (std::same_as<T, Random>) {
    const std::array<std::uint64_t, 3> place{value.seed(), value.stream(), value.position()};
    set_tensor(tensors, name, {3}, std::span<const std::uint64_t>(place));
  } else if constexpr (NumberRecord<T>) {
    const auto keep = [&](const auto& field) {
      keep_number(tensors, name + "." + std::string(field.name), std::invoke(field.get, value));
    };
    std::apply([&](const auto&... field) { (keep(field), ...); }, T::numbers());
  } else {
    add_tensors(tensors, value, name + ".");
  }
}

/// Reads parts out of a checkpoint and knows which of its tensors nobody has asked for.
class CheckpointReader {
 public:
  explicit CheckpointReader(const SafetensorsFile& file) : file_(file) {
    for (const auto& tensor : file.tensors()) unread_.insert(tensor.first);
  }

  template <class T>
  void fetch(const std::string& name, T& value) {
    if constexpr (FileNumber<T>) {
      value = values<T>(name, 1).front();
    } else if constexpr (is_number_list<T>) {
      value = values<typename T::value_type>(name, -1);
    } else if constexpr (std::same_as<T, Random>) {
      const auto place = values<std::uint64_t>(name, 3);
      value = Random(place[0], place[1]);
      value.seek(place[2]);
    } else if constexpr (NumberRecord<T>) {
      const auto one = [&](const auto& field) {
        fetch(name + "." + std::string(field.name), std::invoke(field.get, value));
      };
      std::apply([&](const auto&... field) { (one(field), ...); }, T::numbers());
    } else {
      load_safetensors(file_, value, name + ".");
      for_each_tensor([&](const Path& path, const auto&) { unread_.erase(name + "." + path.str()); }, value);
    }
  }

  /// Throws FileError when the file holds what no part has read.
  void check_all_read() const {
    if (unread_.empty()) return;
    fail<FileError>(file_.where() + ": expected nothing but the parts asked for, found " +
                    quote_name(*unread_.begin()));
  }

 private:
  template <class T>
  std::vector<T> values(const std::string& name, Index count) {
    std::vector<T> numbers = file_.values<T>(name);
    if (count >= 0 && static_cast<Index>(numbers.size()) != count) {
      fail<FileError>(file_.where() + ": tensor " + quote_name(name) + ": expected numbers: " + std::to_string(count) +
                      ", found " + std::to_string(numbers.size()));
    }
    unread_.erase(name);
    return numbers;
  }

  const SafetensorsFile& file_;
  std::set<std::string> unread_;
};

}  // namespace detail

/// Writes the parts to a file that appears under its name only when it is complete and on disk. Throws FileError when
/// it cannot be written, ArgumentError when two parts have one name.
template <class... Ts>
void save_checkpoint(const std::filesystem::path& path, const Kept<Ts>&... parts) {
  TensorMap tensors;
  const auto add = [&](const std::string& name, const auto& value) {
    TensorMap part;
    detail::keep_part(part, name, value);
    tensors.merge(part);
    if (!part.empty()) {
      fail<ArgumentError>("checkpoint: expected parts of different names, found " +
                          detail::quote_name(part.begin()->first) + " twice");
    }
  };
  (add(parts.name, parts.value), ...);
  save_safetensors(path, tensors, {{"format", detail::checkpoint_format}, {"hash", detail::checkpoint_hash(tensors)}});
}

/// Opens a checkpoint and checks that it is one, whole and unchanged. Throws FileError.
[[nodiscard]] inline SafetensorsFile open_checkpoint(const std::filesystem::path& path) {
  SafetensorsFile file = SafetensorsFile::open(path);
  const auto require = [&](const char* key, const std::string& expected) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end() || found->second != expected) {
      fail<FileError>(file.where() + ": expected " + key + " " + expected + ", found " +
                      (found == file.metadata().end() ? "none" : detail::quote_name(found->second)));
    }
  };
  require("format", detail::checkpoint_format);
  require("hash", detail::checkpoint_hash(file.tensors()));
  return file;
}

/// Fills the parts, bit for bit as they were saved. Throws FileError, and leaves every part as it was, when the file is
/// damaged or holds other parts than these.
template <class... Ts>
void load_checkpoint(const SafetensorsFile& file, const Kept<Ts>&... parts) {
  detail::CheckpointReader reader(file);
  std::tuple<Ts...> loaded(parts.value...);
  std::apply([&](Ts&... value) { (reader.fetch(parts.name, value), ...); }, loaded);
  reader.check_all_read();
  // Copied, not moved: the tensors stay where they are for those who hold views of them.
  std::apply([&](const Ts&... value) { ((parts.value = value), ...); }, loaded);
}

template <class... Ts>
void load_checkpoint(const std::filesystem::path& path, const Kept<Ts>&... parts) {
  load_checkpoint(open_checkpoint(path), parts...);
}

}  // namespace stepscan::inline STEPSCAN_ISA
