#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <stepscan/core/scalar.hpp>
#include <stepscan/core/tensor.hpp>
#include <stepscan/io/safetensors_file.hpp>
#include <string>
#include <vector>

namespace conformance {

using stepscan::Dynamic;
using stepscan::FileError;
using stepscan::Index;
using stepscan::Scalar;
using stepscan::ShapeError;
using stepscan::Tensor;

/// The options that fix a case's function: a JSON object, of which every key has to be asked for. All functions throw
/// FileError when a key is missing or of another type.
class Config {
 public:
  Config() = default;
  explicit Config(const std::string& json);

  [[nodiscard]] bool has(const std::string& key) const { return values_.contains(key); }
  /// A size, at least `least` and below 2^20.
  [[nodiscard]] Index size(const std::string& key, Index least = 1);
  [[nodiscard]] bool flag(const std::string& key);
  [[nodiscard]] double number(const std::string& key);
  /// Whether the value is null: an option that is not used.
  [[nodiscard]] bool is_null(const std::string& key);
  /// A list of numbers; null: none.
  [[nodiscard]] std::vector<double> numbers(const std::string& key);
  [[nodiscard]] std::string text(const std::string& key);
  /// The position in `choices` of the text under this key.
  [[nodiscard]] std::size_t choice(const std::string& key, const std::vector<std::string>& choices);
  /// The keys that nobody asked for.
  [[nodiscard]] std::vector<std::string> unread() const;

 private:
  const nlohmann::json& value(const std::string& key, const char* expected, bool (*fits)(const nlohmann::json&));

  nlohmann::json values_ = nlohmann::json::object();
  std::set<std::string> read_;
};

/// A golden file. Everything in it has to be read, or compared with a result.
class Case {
 public:
  /// Throws FileError.
  explicit Case(const std::filesystem::path& path);

  std::string layer;
  Config config;

  [[nodiscard]] bool has(const std::string& name) const { return file_.tensors().contains(name); }
  [[nodiscard]] const std::vector<Index>& shape(const std::string& name) const { return file_.tensor(name).shape; }
  /// Throws ShapeError.
  void require_shape(const std::string& name, const std::vector<Index>& expected) const;

  /// The numbers of a tensor, which counts as read.
  [[nodiscard]] std::vector<double> values(const std::string& name);
  /// The same of a tensor of whole numbers.
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& name);
  template <Scalar S>
  void read(const std::string& name, S* to) {
    for (const double value : values(name)) *to++ = static_cast<S>(value);
  }

  /// Whether there are gradients to compare with.
  [[nodiscard]] bool has_gradients() const;
  /// out/ and grad/: the names of what a run has to give.
  [[nodiscard]] std::vector<std::string> expected_names(bool gradients) const;
  [[nodiscard]] std::vector<double> expected(const std::string& name) const;
  /// Whether a result is a selection, which has to be equal.
  [[nodiscard]] bool is_selection(const std::string& name) const {
    return !stepscan::is_floating(file_.tensor(name).dtype);
  }

  /// Strong gates or large values, as the file's name says: float may be less exact.
  [[nodiscard]] bool is_strong() const { return strong_; }

  /// Throws FileError when the config or the file holds something that nobody has read and no run will give.
  void check_all_read() const;

 private:
  stepscan::SafetensorsFile file_;
  std::set<std::string> read_;
  bool strong_ = false;
};

}  // namespace conformance
