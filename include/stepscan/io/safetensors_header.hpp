#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stepscan/core/error.hpp>
#include <stepscan/io/dtype.hpp>
#include <stepscan/io/quote_name.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The JSON header of a safetensors file: {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3],
/// "data_offsets": [begin, end]}, ...}.
namespace stepscan::inline STEPSCAN_ISA::detail {

inline constexpr std::string_view metadata_key = "__metadata__";

/// What a header says of one tensor; nothing of it is checked against the data yet.
struct HeaderEntry {
  std::optional<Dtype> dtype;
  std::optional<std::vector<Index>> shape;
  std::vector<std::uint64_t> offsets;
};

/// Takes the parser's events one by one and refuses the first that the format does not allow, so nothing but the
/// format's own structure is ever built, however deep or odd the text. Every name may occur once.
class HeaderReader {
 public:
  std::map<std::string, HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
  std::string error;

  bool null() { return refuse("null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(std::int64_t value) { return refuse("the number " + std::to_string(value)); }
  bool number_float(double, const std::string& text) { return refuse("the number " + quote_name(text)); }
  template <class Bytes>
  bool binary(const Bytes&) {
    return refuse("binary data");
  }

  bool number_unsigned(std::uint64_t value) {
    if (at_ == At::offsets && entry_->offsets.size() < 2) {
      entry_->offsets.push_back(value);
      return true;
    }
    if (at_ == At::shape && value <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
      entry_->shape->push_back(static_cast<Index>(value));
      return true;
    }
    return refuse("the number " + std::to_string(value));
  }

  bool string(const std::string& value) {
    if (at_ == At::metadata_value) {
      metadata[key_] = value;
      at_ = At::metadata;
      return true;
    }
    if (at_ == At::dtype_value && dtype_named(value)) {
      entry_->dtype = dtype_named(value);
      at_ = At::entry;
      return true;
    }
    return refuse(quote_name(value));
  }

  bool start_object(std::size_t) {
    switch (at_) {
      case At::start:
        at_ = At::root;
        return true;
      case At::entry_value:
        at_ = At::entry;
        return true;
      case At::metadata_object:
        at_ = At::metadata;
        return true;
      default:
        return refuse("an object");
    }
  }

  bool key(const std::string& text) {
    key_ = text;
    bool is_new = false;
    if (at_ == At::root && text == metadata_key) {
      is_new = !std::exchange(has_metadata_, true);
      at_ = At::metadata_object;
    } else if (at_ == At::root) {
      const auto [place, added] = entries.try_emplace(text);
      is_new = added;
      entry_ = &place->second;
      tensor_ = text;
      at_ = At::entry_value;
    } else if (at_ == At::metadata) {
      is_new = !metadata.contains(text);
      at_ = At::metadata_value;
    } else if (text == "dtype") {
      is_new = !entry_->dtype;
      at_ = At::dtype_value;
    } else if (text == "shape") {
      is_new = !entry_->shape;
      at_ = At::shape_value;
    } else if (text == "data_offsets") {
      is_new = entry_->offsets.empty();
      at_ = At::offsets_value;
    } else {
      return refuse("the key " + quote_name(text));
    }
    if (!is_new) error = "the name " + quote_name(text) + " occurs twice" + inside();
    return is_new;
  }

  bool end_object() {
    if (at_ == At::entry && (!entry_->dtype || !entry_->shape || entry_->offsets.empty())) {
      error = "expected dtype, shape and data_offsets, found not all of them" + inside();
      return false;
    }
    at_ = At::root;
    tensor_.clear();
    return true;
  }

  bool start_array(std::size_t) {
    if (at_ == At::shape_value) {
      entry_->shape.emplace();
      at_ = At::shape;
      return true;
    }
    if (at_ == At::offsets_value) {
      at_ = At::offsets;
      return true;
    }
    return refuse("a list");
  }

  bool end_array() {
    if (at_ == At::offsets && entry_->offsets.size() != 2) return refuse("the end of the list");
    at_ = At::entry;
    return true;
  }

  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception&) {
    error = "malformed JSON at byte " + std::to_string(position) + " of the header" + inside();
    return false;
  }

 private:
  enum class At {
    start,
    root,
    metadata_object,
    metadata,
    metadata_value,
    entry_value,
    entry,
    dtype_value,
    shape_value,
    shape,
    offsets_value,
    offsets
  };

  [[nodiscard]] std::string inside() const { return tensor_.empty() ? "" : " (tensor " + quote_name(tensor_) + ")"; }

  [[nodiscard]] std::string_view expected() const noexcept {
    switch (at_) {
      case At::metadata_value:
        return "a string";
      case At::entry:
        return "dtype, shape and data_offsets alone";
      case At::dtype_value:
        return "a dtype (BOOL, U8 to U64, I8 to I64, F16, BF16, F32 or F64)";
      case At::shape_value:
        return "a list of sizes";
      case At::shape:
        return "a size";
      case At::offsets_value:
      case At::offsets:
        return "data_offsets of two numbers >= 0";
      default:
        return "an object";
    }
  }

  bool refuse(const std::string& found) {
    error = "expected " + std::string(expected()) + ", found " + found + inside();
    return false;
  }

  At at_ = At::start;
  std::string key_;
  std::string tensor_;
  HeaderEntry* entry_ = nullptr;
  bool has_metadata_ = false;
};

/// A JSON string. Throws ArgumentError for text that is not UTF-8, which JSON cannot hold.
[[nodiscard]] inline std::string json_text(const std::string& text) {
  using nlohmann::json;
  const std::string written = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  if (json::parse(written, nullptr, false) != text) {
    fail<ArgumentError>("safetensors: expected a name or text in UTF-8, found " + quote_name(text));
  }
  return written;
}

}  // namespace stepscan::inline STEPSCAN_ISA::detail
