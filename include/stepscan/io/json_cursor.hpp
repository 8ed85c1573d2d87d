#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <stepscan/core/error.hpp>
#include <stepscan/io/quote_name.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stepscan::inline STEPSCAN_ISA::detail {

/// Reads a JSON text that nests at most `deepest` levels and names no key twice in one object. Throws FileError.
[[nodiscard]] inline nlohmann::json parse_json(std::span<const std::byte> bytes, const std::string& where) {
  using Event = nlohmann::json::parse_event_t;
  constexpr std::size_t deepest = 32;
  std::string refused;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Event event, nlohmann::json& parsed) {
    if (!refused.empty()) return false;
    if (static_cast<std::size_t>(depth) > deepest) {
      refused = "expected at most " + std::to_string(deepest) + " levels of nesting, found more";
    } else if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      refused = "expected each key once, found " + quote_name(parsed.get<std::string>()) + " twice";
    }
    return refused.empty();
  };
  if (std::find(bytes.begin(), bytes.end(), std::byte{0}) != bytes.end()) {
    fail<FileError>(where + ": expected a JSON document, found a zero byte in it");
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  nlohmann::json document = nlohmann::json::parse(text, text + bytes.size(), watch, false);
  if (!refused.empty()) fail<FileError>(where + ": " + refused);
  if (document.is_discarded()) fail<FileError>(where + ": expected a JSON document, found malformed text");
  return document;
}

/// A value inside a JSON document, which must outlive it, with the way to it. Every question it is asked is answered or
/// ends in a FileError that names file, key, what was expected and what was found.
class JsonCursor {
 public:
  JsonCursor(const nlohmann::json& document, std::string where) : value_(&document), where_(std::move(where)) {}

  /// The member of that name; a missing one is an error.
  [[nodiscard]] JsonCursor at(const std::string& key) const {
    require(value_->is_object(), "an object");
    const auto found = value_->find(key);
    if (found == value_->end()) {
      fail<FileError>(where_ + ": expected the key " + quote_name(path_of(key)) + ", found none");
    }
    return {*found, where_, path_of(key)};
  }

  /// Whether there is a member of that name other than null.
  [[nodiscard]] bool has(const std::string& key) const {
    require(value_->is_object(), "an object");
    const auto found = value_->find(key);
    return found != value_->end() && !found->is_null();
  }

  /// A whole number in [least, most].
  [[nodiscard]] Index integer(Index least, Index most) const {
    const std::string wanted = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    require(value_->is_number_integer(), wanted);
    const bool small =
        !value_->is_number_unsigned() || value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(most);
    const auto number = small ? value_->get<std::int64_t>() : 0;
    require(small && number >= least && number <= most, wanted);
    return static_cast<Index>(number);
  }
  /// integer(least, most) of the member, or the usual value where the file does not say.
  [[nodiscard]] Index integer_or(const std::string& key, Index usual, Index least, Index most) const {
    return has(key) ? at(key).integer(least, most) : usual;
  }

  [[nodiscard]] bool boolean() const {
    require(value_->is_boolean(), "true or false");
    return value_->get<bool>();
  }

  [[nodiscard]] const std::string& text() const {
    require(value_->is_string(), "a text");
    return value_->get_ref<const std::string&>();
  }

  [[nodiscard]] double number() const {
    require(value_->is_number(), "a number");
    return value_->get<double>();
  }

  /// A list of `count` numbers that are finite as float.
  [[nodiscard]] std::vector<float> floats(Index count) const {
    std::vector<float> values;
    append_floats(count, values);
    return values;
  }

  /// A list of `rows` lists of `cols` numbers each, row-major.
  [[nodiscard]] std::vector<float> matrix(Index rows, Index cols) const {
    require_list(rows, "rows");
    std::vector<float> values;
    std::size_t row = 0;
    for (const auto& list : *value_) {
      JsonCursor(list, where_, path_ + "[" + std::to_string(row++) + "]").append_floats(cols, values);
    }
    return values;
  }

  /// Calls f(key) for each member.
  template <class F>
  void for_each_key(F&& f) const {
    require(value_->is_object(), "an object");
    for (auto member = value_->begin(); member != value_->end(); ++member) f(member.key());
  }

  /// Throws a FileError about this value.
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
    fail<FileError>(where_ + ": " + (path_.empty() ? "the document" : quote_name(path_)) + ": expected " + expected +
                    ", found " + found);
  }

 private:
  JsonCursor(const nlohmann::json& value, std::string where, std::string path)
      : value_(&value), where_(std::move(where)), path_(std::move(path)) {}

  [[nodiscard]] std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  void require(bool condition, std::string_view expected) const {
    if (!condition) refuse(std::string(expected), found());
  }

  [[nodiscard]] std::string found() const {
    if (value_->is_number()) return value_->dump();
    if (value_->is_string()) return quote_name(value_->get_ref<const std::string&>());
    return std::string("a value of kind ") + value_->type_name();
  }

  void require_list(Index count, std::string_view of) const {
    const std::string wanted = "a list of " + std::to_string(count) + " " + std::string(of);
    require(value_->is_array(), wanted);
    if (value_->size() != static_cast<std::size_t>(count)) refuse(wanted, std::to_string(value_->size()));
  }

  void append_floats(Index count, std::vector<float>& values) const {
    require_list(count, "numbers");
    for (const auto& item : *value_) {
      const float value = item.is_number() ? static_cast<float>(item.get<double>()) : std::nanf("");
      if (!std::isfinite(value)) {
        const auto position = std::to_string(&item - &value_->front());
        JsonCursor(item, where_, path_ + "[" + position + "]").require(false, "a number finite as float");
      }
      values.push_back(value);
    }
  }

  const nlohmann::json* value_;
  std::string where_;
  std::string path_;
};

}  // namespace stepscan::inline STEPSCAN_ISA::detail
