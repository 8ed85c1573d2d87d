#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/io/dtype.hpp>
#include <stepscan/io/file_bytes.hpp>
#include <stepscan/io/safetensors_header.hpp>
#include <stepscan/io/tensor_map.hpp>
#include <string>
#include <utility>
#include <vector>

/// The safetensors format (https://github.com/huggingface/safetensors): the header's length as 8 little-endian bytes,
/// a JSON header, the tensors' bytes without gaps. Files are untrusted: whatever they claim is checked before use.
namespace stepscan::inline STEPSCAN_ISA {

/// Strings by name that a file carries beside its tensors.
using SafetensorsMetadata = std::map<std::string, std::string>;

/// One tensor of a file: a view of the file's bytes, of any alignment.
struct TensorEntry {
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;
  std::span<const std::byte> bytes;
};

/// A checked safetensors file. A copy shares the bytes.
class SafetensorsFile {
 public:
  using Tensors = std::map<std::string, TensorEntry>;

  /// The longest header that is read, in bytes.
  static constexpr std::uint64_t longest_header = 100'000'000;

  /// Reads and checks a file. Throws FileError, naming the file, and the tensor where one is to blame.
  [[nodiscard]] static SafetensorsFile open(const std::filesystem::path& path) {
    detail::FileBytes bytes = detail::read_file(path);
    SafetensorsFile file = parse(bytes.span(), detail::quote_name(path.string()));
    file.memory_ = std::move(bytes.memory);
    return file;
  }

  /// Checks a file that lies in memory, such as weights embedded in the program; the bytes must outlive the result.
  /// `where` names them in messages. Throws FileError.
  [[nodiscard]] static SafetensorsFile parse(std::span<const std::byte> bytes, std::string where = "safetensors");

  [[nodiscard]] const Tensors& tensors() const noexcept { return tensors_; }
  [[nodiscard]] const SafetensorsMetadata& metadata() const noexcept { return metadata_; }
  /// What messages call this file.
  [[nodiscard]] const std::string& where() const noexcept { return where_; }

  /// Throws FileError when there is no tensor of that name.
  [[nodiscard]] const TensorEntry& tensor(const std::string& name) const {
    return detail::find_tensor(tensors_, name, where_);
  }
  /// The numbers of a tensor as T, see tensor_values.
  template <FileNumber T>
  [[nodiscard]] std::vector<T> values(const std::string& name) const {
    return tensor_values<T>(tensors_, name, where_);
  }

 private:
  void add(const std::string& name, detail::HeaderEntry&& entry, std::span<const std::byte> data);
  void check_no_gaps(std::span<const std::byte> data) const;

  std::shared_ptr<const std::byte[]> memory_;
  Tensors tensors_;
  SafetensorsMetadata metadata_;
  std::string where_;
};

/// A copy of all tensors of a file. Throws FileError.
[[nodiscard]] inline TensorMap load_tensor_map(const SafetensorsFile& file) {
  TensorMap map;
  for (const auto& [name, entry] : file.tensors()) {
    map.emplace(name, NamedTensor{entry.dtype, entry.shape, {entry.bytes.begin(), entry.bytes.end()}});
  }
  return map;
}
[[nodiscard]] inline TensorMap load_tensor_map(const std::filesystem::path& path) {
  return load_tensor_map(SafetensorsFile::open(path));
}

namespace detail {

using TensorOrder = std::vector<const TensorMap::value_type*>;

/// Wide numbers first, then by name: with a header of a multiple of 8 bytes, every tensor is aligned to its type.
[[nodiscard]] inline TensorOrder file_order(const TensorMap& tensors) {
  TensorOrder order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return dtype_bytes(a->second.dtype) > dtype_bytes(b->second.dtype);
  });
  return order;
}

/// The length and the header, for tensors that lie one after another in this order. Throws ArgumentError.
[[nodiscard]] inline std::string write_header(const TensorOrder& order, const SafetensorsMetadata& metadata) {
  std::string json = "{";
  const auto separate = [&json] { json += json.back() == '{' ? "" : ","; };
  if (!metadata.empty()) {
    json += json_text(std::string(metadata_key)) + ":{";
    for (const auto& [key, text] : metadata) {
      separate();
      json += json_text(key) + ":" + json_text(text);
    }
    json += "}";
  }
  std::size_t offset = 0;
  for (const auto* tensor : order) {
    const auto& [name, content] = *tensor;
    std::size_t bytes = 0;
    if (!tensor_bytes(content.dtype, content.shape, bytes) || bytes != content.bytes.size() || name == metadata_key) {
      fail<ArgumentError>("safetensors: tensor " + quote_name(name) + ": expected a name other than " +
                          std::string(metadata_key) + " and the bytes of shape " + shape_text(content.shape) + " " +
                          std::string(dtype_name(content.dtype)) + ", found " + std::to_string(content.bytes.size()) +
                          " bytes");
    }
    separate();
    json += json_text(name) + ":{\"dtype\":\"" + std::string(dtype_name(content.dtype)) +
            "\",\"shape\":" + shape_text(content.shape) + ",\"data_offsets\":[" + std::to_string(offset) + "," +
            std::to_string(offset + bytes) + "]}";
    offset += bytes;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const auto length = static_cast<std::uint64_t>(json.size());
  std::string text(sizeof(length), '\0');
  std::memcpy(text.data(), &length, sizeof(length));
  return text + json;
}

}  // namespace detail

/// Writes a file of these tensors. It appears under its name only when it is complete: after a failure or a crash the
/// file of that name is what it was. Throws FileError when it cannot be written, ArgumentError when a tensor's bytes do
/// not match its shape or a name is not UTF-8.
inline void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                             const SafetensorsMetadata& metadata = {}) {
  const detail::TensorOrder order = detail::file_order(tensors);
  const std::string header = detail::write_header(order, metadata);
  std::vector<std::span<const std::byte>> pieces{std::as_bytes(std::span(header))};
  for (const auto* tensor : order) pieces.emplace_back(tensor->second.bytes);
  detail::write_file(path, pieces);
}

inline SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, std::string where) {
  SafetensorsFile file;
  file.where_ = std::move(where);
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length)) {
    fail<FileError>(file.where_ + ": expected 8 bytes of header length, found " + std::to_string(bytes.size()));
  }
  std::memcpy(&length, bytes.data(), sizeof(length));
  const auto rest = bytes.subspan(sizeof(length));
  if (length > rest.size() || length > longest_header) {
    fail<FileError>(file.where_ + ": expected a header of at most " +
                    std::to_string(std::min<std::uint64_t>(rest.size(), longest_header)) +
                    " bytes, found a length of " + std::to_string(length));
  }
  const auto header = rest.first(static_cast<std::size_t>(length));
  const auto data = rest.subspan(header.size());
  if (header.empty() || header.front() != std::byte{'{'}) {
    fail<FileError>(file.where_ + ": expected a header that starts with '{'");
  }
  if (std::find(header.begin(), header.end(), std::byte{0}) != header.end()) {
    fail<FileError>(file.where_ + ": expected a header of text, found a zero byte in it");
  }

  detail::HeaderReader reader;
  const auto* text = reinterpret_cast<const char*>(header.data());
  if (!nlohmann::json::sax_parse(text, text + header.size(), &reader)) {
    fail<FileError>(file.where_ + ": " + reader.error);
  }
  file.metadata_ = std::move(reader.metadata);
  for (auto& [name, entry] : reader.entries) file.add(name, std::move(entry), data);
  file.check_no_gaps(data);
  return file;
}

inline void SafetensorsFile::add(const std::string& name, detail::HeaderEntry&& entry,
                                 std::span<const std::byte> data) {
  const auto tensor = where_ + ": tensor " + detail::quote_name(name);
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (begin > end || end > data.size()) {
    fail<FileError>(tensor + ": expected data_offsets within the " + std::to_string(data.size()) +
                    " bytes of data, found [" + std::to_string(begin) + ", " + std::to_string(end) + "]");
  }
  std::size_t size = 0;
  if (!detail::tensor_bytes(*entry.dtype, *entry.shape, size) || size != end - begin) {
    fail<FileError>(tensor + ": expected the bytes of shape " + shape_text(*entry.shape) + " " +
                    std::string(dtype_name(*entry.dtype)) + ", found " + std::to_string(end - begin));
  }
  tensors_.emplace(
      name, TensorEntry{*entry.dtype, std::move(*entry.shape), data.subspan(static_cast<std::size_t>(begin), size)});
}

inline void SafetensorsFile::check_no_gaps(std::span<const std::byte> data) const {
  struct Range {
    std::size_t begin, end;
    const std::string* name;
  };
  std::vector<Range> ranges;  // of one begin and end: in the order of names
  ranges.reserve(tensors_.size());
  for (const auto& [name, entry] : tensors_) {
    const auto begin = static_cast<std::size_t>(entry.bytes.data() - data.data());
    ranges.push_back({begin, begin + entry.bytes.size(), &name});
  }
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t used = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (begin != used) {
      fail<FileError>(where_ + ": tensor " + detail::quote_name(*name) +
                      ": expected to start where the one before ends, at " + std::to_string(used) + ", found " +
                      std::to_string(begin));
    }
    used = end;
  }
  if (used != data.size()) {
    fail<FileError>(where_ + ": expected " + std::to_string(used) + " bytes of data, found " +
                    std::to_string(data.size()));
  }
}

}  // namespace stepscan::inline STEPSCAN_ISA
